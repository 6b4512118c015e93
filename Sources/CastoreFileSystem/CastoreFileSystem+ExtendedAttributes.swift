internal import Castore
public import FUSE
internal import Glibc
internal import Platform

extension CastoreFileSystem {
  /// Files and directories have their digest as an attribute, if the options say so.
  public func getxattr(
    _ node: NodeID,
    name: RawSpan,
    caller: Caller,
    reply: consuming ExtendedAttributeReply
  ) {
    guard let namespace = options.extendedAttributes else { return reply.fail(Errno(ENOSYS)) }
    guard node == .root || nodes.record(node.rawValue) != nil else {
      return reply.fail(Errno(ESTALE))
    }
    guard let (attribute, value) = digestAttribute(node, namespace),
      name.withUnsafeBytes({ $0.elementsEqual(attribute.utf8) })
    else { return reply.fail(Errno(ENODATA)) }
    let bytes = [UInt8](value.utf8)
    reply.answer(bytes.span.bytes)
  }

  /// The one name, or none for links, the root, and where attributes are off: as on any file system that
  /// has none. "Not supported" would be an error to programs that copy or archive what there is.
  public func listxattr(
    _ node: NodeID,
    caller: Caller,
    reply: consuming ExtendedAttributeReply
  ) {
    guard let namespace = options.extendedAttributes else { return reply.answer(RawSpan()) }
    guard node == .root || nodes.record(node.rawValue) != nil else {
      return reply.fail(Errno(ESTALE))
    }
    var names: [UInt8] = []
    if let (attribute, _) = digestAttribute(node, namespace) { names = attribute.utf8 + [0] }
    reply.answer(names.span.bytes)
  }

  private func digestAttribute(
    _ node: NodeID,
    _ namespace: FileSystemOptions.ExtendedAttributeNamespace
  ) -> (name: String, value: String)? {
    guard let record = nodes.record(node.rawValue) else { return nil }
    let kind: String
    switch record.kind {
    case .directory: kind = "directory"
    case .file, .executable: kind = "blob"
    case .symlink, .free: return nil
    }
    let style: B3Digest.TextStyle = namespace == .tvix ? .b3 : .blake3
    return ("user.\(namespace.rawValue).castore.\(kind).digest", record.digest.formatted(style))
  }
}
