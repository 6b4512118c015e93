import FUSE
import Glibc

// The example of docs/fuse-library.md.
struct HelloFileSystem: FileSystem {
  static let text = Array("hello\n".utf8)
  static let file = Attributes(
    inode: InodeNumber(rawValue: 2),
    type: .regular,
    permissions: 0o444,
    size: UInt64(text.count)
  )
  static let root = Attributes(
    inode: InodeNumber(rawValue: 1),
    type: .directory,
    permissions: 0o555,
    size: 0
  )

  func lookup(_ name: RawSpan, in parent: NodeID, caller: Caller, reply: consuming EntryReply) {
    guard name.withUnsafeBytes({ $0.elementsEqual("hello".utf8) }) else {
      return reply.answerMissing(for: .infinite)
    }
    reply.answer(Entry(node: NodeID(rawValue: 2), attributes: Self.file))
  }

  func forget(_ node: NodeID, count: UInt64) {}

  func getattr(_ node: NodeID, caller: Caller, reply: consuming AttributesReply) {
    reply.answer(node == .root ? Self.root : Self.file)
  }

  func read(
    _ node: NodeID,
    handle: OpenHandle,
    offset: UInt64,
    caller: Caller,
    reply: consuming DataReply
  ) {
    let start = Int(min(offset, UInt64(Self.text.count)))
    reply.answer(Self.text.span.bytes.extracting(start...))
  }

  func readdir(
    _ node: NodeID,
    handle: OpenHandle,
    from cookie: UInt64,
    caller: Caller,
    reply: consuming DirectoryReply
  ) {
    reply.answer { list in
      let root = Self.root.inode
      if cookie < 1, !list.add(".", inode: root, cookie: 1) { return }
      if cookie < 2, !list.add("..", inode: root, cookie: 2) { return }
      let entry = Entry(node: NodeID(rawValue: 2), attributes: Self.file)
      if cookie < 3 { _ = list.add("hello".utf8Span.span.bytes, entry: entry, cookie: 3) }
    }
  }
}

@main
enum Hello {
  static func main() throws {
    let end = try Mount.serve(HelloFileSystem(), at: CommandLine.arguments[1]) { event in
      // Not part of the example: what the tests wait for.
      switch event {
      case .mounted: say("mounted")
      case .stopping(let signal): say("stopping \(signal)")
      case .detached: say("detached")
      case .unmountFailed(let error): say("\(error)")
      }
    }
    say("\(end)")
  }

  private static func say(_ text: String) {
    print(text)
    fflush(nil)
  }
}
