// The fixed parts of requests, laid out as on the wire (protocol 7.45). Fields keep the protocol's
// meaning; padding is spelled out so that sizes and offsets need no attribute.

/// Before each request.
struct RequestHeader: BitwiseCopyable {
  var length: UInt32 = 0
  var opcode: UInt32 = 0
  var unique: UInt64 = 0
  var node: UInt64 = 0
  var user: UInt32 = 0
  var group: UInt32 = 0
  var thread: UInt32 = 0
  /// In units of 8 bytes, at the end of the message.
  var extensionLength: UInt16 = 0
  var padding: UInt16 = 0
}

/// INIT. Messages end after `flags` before protocol 7.36.
struct InitIn: BitwiseCopyable {
  var major: UInt32 = 0
  var minor: UInt32 = 0
  var maxReadahead: UInt32 = 0
  var flags: UInt32 = 0
  var flags2: UInt32 = 0
  var unused: UInt32 = 0
  var unused2: (UInt64, UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0, 0)
}

struct GetattrIn: BitwiseCopyable {
  var flags: UInt32 = 0
  var padding: UInt32 = 0
  var handle: UInt64 = 0
}

struct OpenIn: BitwiseCopyable {
  var flags: UInt32 = 0
  var openFlags: UInt32 = 0
}

struct ReadIn: BitwiseCopyable {
  var handle: UInt64 = 0
  var offset: UInt64 = 0
  var size: UInt32 = 0
  var readFlags: UInt32 = 0
  var lockOwner: UInt64 = 0
  var flags: UInt32 = 0
  var padding: UInt32 = 0
}

struct ReleaseIn: BitwiseCopyable {
  var handle: UInt64 = 0
  var flags: UInt32 = 0
  var releaseFlags: UInt32 = 0
  var lockOwner: UInt64 = 0
}

struct FlushIn: BitwiseCopyable {
  var handle: UInt64 = 0
  var unused: UInt32 = 0
  var padding: UInt32 = 0
  var lockOwner: UInt64 = 0
}

struct GetxattrIn: BitwiseCopyable {
  var size: UInt32 = 0
  var padding: UInt32 = 0
}

struct ForgetIn: BitwiseCopyable {
  var count: UInt64 = 0
}

struct ForgetOne: BitwiseCopyable {
  var node: UInt64 = 0
  var count: UInt64 = 0
}

struct BatchForgetIn: BitwiseCopyable {
  var count: UInt32 = 0
  var padding: UInt32 = 0
}

struct AccessIn: BitwiseCopyable {
  var mask: UInt32 = 0
  var padding: UInt32 = 0
}

struct InterruptIn: BitwiseCopyable {
  var unique: UInt64 = 0
}

struct LseekIn: BitwiseCopyable {
  var handle: UInt64 = 0
  var offset: UInt64 = 0
  var whence: UInt32 = 0
  var padding: UInt32 = 0
}

/// Argument of the ioctl that registers a file for passthrough.
struct BackingMap: BitwiseCopyable {
  var descriptor: Int32 = 0
  var flags: UInt32 = 0
  var padding: UInt64 = 0
}
