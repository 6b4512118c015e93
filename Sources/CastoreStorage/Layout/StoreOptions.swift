/// What a store was made with; kept in its file `format`.
public struct StoreOptions: Hashable, Sendable {
  /// Who may use it.
  public var access = StoreAccess.owner

  /// The defaults: the owner's alone.
  public init() {}
}
