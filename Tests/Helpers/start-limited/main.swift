// start-limited [NAME=VALUE...] -- PROGRAM [ARGUMENT...]
//
// Becomes the program, under limits: processes=N, addresses=BYTES, files=N, length=BYTES (of files), user=N
// (and group), refuse=CALL:ERROR (a system call by its name and the number of its error), ignore=SIGNAL,
// closed=DESCRIPTOR.

import CLinux
import Glibc

func fail(_ what: String) -> Never {
  perror("start-limited: \(what)")
  exit(125)
}

func limit(_ resource: UInt32, _ value: UInt) {
  var limit = rlimit(rlim_cur: value, rlim_max: value)
  if setrlimit(CInt(resource), &limit) != 0 { fail("setrlimit") }
}

let calls = [
  "clone3": CLinux_SYS_clone3, "copy_file_range": CLinux_SYS_copy_file_range,
  "renameat2": CLinux_SYS_renameat2, "sendfile": CLinux_SYS_sendfile, "statx": CLinux_SYS_statx,
]

var words = CommandLine.arguments.dropFirst()
while let word = words.popFirst(), word != "--" {
  let parts = word.split(separator: "=", maxSplits: 1)
  let fields = parts[1].split(separator: ":").map(String.init)
  let number = UInt(fields.last ?? "") ?? 0
  switch parts[0] {
  case "processes": limit(__RLIMIT_NPROC.rawValue, number)
  case "addresses": limit(RLIMIT_AS.rawValue, number)
  case "files": limit(RLIMIT_NOFILE.rawValue, number)
  case "length": limit(RLIMIT_FSIZE.rawValue, number)
  case "user":
    let id = UInt32(number)
    if setgroups(0, nil) != 0 || setgid(id) != 0 || setuid(id) != 0 { fail("setuid") }
  case "refuse":
    guard let call = calls[fields[0]], CLinux_refuse_call(call, CInt(number)) == 0 else {
      fail("seccomp")
    }
  case "ignore": signal(CInt(number), SIG_IGN)
  case "closed": close(CInt(number))
  default: fail("\(word) is unknown")
  }
}
var arguments = words.map { strdup($0) } + [nil]
execv(words.first ?? "", &arguments)
fail("execv")
