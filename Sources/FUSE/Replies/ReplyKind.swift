/// What a request wants to be answered with. Tags, never instantiated.
public enum ReplyKind {
  /// LOOKUP.
  public enum Entry {}
  /// GETATTR.
  public enum Attributes {}
  /// READLINK.
  public enum Link {}
  /// OPEN and OPENDIR.
  public enum Open {}
  /// READ.
  public enum Data {}
  /// READDIR and READDIRPLUS.
  public enum Directory {}
  /// STATFS.
  public enum Statistics {}
  /// GETXATTR and LISTXATTR.
  public enum ExtendedAttribute {}
  /// LSEEK.
  public enum Offset {}
  /// Whatever has nothing to tell but success.
  public enum Empty {}
}

/// The answer to LOOKUP.
public typealias EntryReply = Reply<ReplyKind.Entry>
/// The answer to GETATTR.
public typealias AttributesReply = Reply<ReplyKind.Attributes>
/// The answer to READLINK.
public typealias LinkReply = Reply<ReplyKind.Link>
/// The answer to OPEN and OPENDIR.
public typealias OpenReply = Reply<ReplyKind.Open>
/// The answer to READ.
public typealias DataReply = Reply<ReplyKind.Data>
/// The answer to READDIR and READDIRPLUS.
public typealias DirectoryReply = Reply<ReplyKind.Directory>
/// The answer to STATFS.
public typealias StatisticsReply = Reply<ReplyKind.Statistics>
/// The answer to GETXATTR and LISTXATTR.
public typealias ExtendedAttributeReply = Reply<ReplyKind.ExtendedAttribute>
/// The answer to LSEEK.
public typealias OffsetReply = Reply<ReplyKind.Offset>
/// The answer that carries nothing.
public typealias EmptyReply = Reply<ReplyKind.Empty>
