import CLinux
import Castore
import CastoreFileSystem
import CastoreTestSupport
import FUSE
import Foundation
import Platform
import Testing

@Suite("What programs and kernels do with files", .serialized)
struct KernelUseTests {
  private static let paths: [DataPath] = [.cached, .passthrough]
  private static let content = pattern(300_001)

  private func fixture(_ dataPath: DataPath) async throws -> StoreFixture {
    let fixture = try StoreFixture(dataPath)
    let file = try await fixture.add("file", Self.content)
    let small = try await fixture.add("small", pattern(5000, seed: 3))
    let program = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "/bin/cat")))
    let script = [UInt8]("#!/bin/sh\nexec echo \"it runs: $1\"\n".utf8)
    try await fixture.addDirectory(
      "tree",
      [
        ("cat", try await fixture.add("cat", program, isExecutable: true)),
        ("script", try await fixture.add("script", script, isExecutable: true)),
        ("file", file), ("small", small),
        ("link", .symlink(target: SymlinkTarget("small"))),
      ]
    )
    return fixture
  }

  @Test("programs and scripts run", arguments: paths)
  func execution(dataPath: DataPath) async throws {
    let fixture = try await fixture(dataPath)
    let tree = fixture.path + "/tree"
    let run = try await onThread {
      (
        try Shell.run(tree + "/cat", [tree + "/small"]).code,
        try Shell.run(tree + "/script", ["yes"]).output,
        access(tree + "/file", X_OK)
      )
    }
    #expect(run.0 == 0)
    #expect(run.1 == "it runs: yes\n")
    #expect(run.2 == -1)
  }

  @Test("maps show the file, also executable ones, and nothing beyond it", arguments: paths)
  func maps(dataPath: DataPath) async throws {
    let fixture = try await fixture(dataPath)
    let path = fixture.path + "/file"
    let small = fixture.path + "/small"
    try await onThread { () throws in
      let file = open(path, O_RDONLY)
      defer { close(file) }
      for (rights, flags) in [
        (PROT_READ, MAP_SHARED), (PROT_READ, MAP_PRIVATE), (PROT_READ | PROT_EXEC, MAP_PRIVATE),
      ] {
        let size = Self.content.count
        let map = try #require(mmap(nil, size, rights, flags, file, 0))
        #expect(map != MAP_FAILED)
        defer { munmap(map, size) }
        let bytes = UnsafeRawBufferPointer(start: map, count: (size + 4095) & ~4095)
        #expect(bytes.prefix(size).elementsEqual(Self.content))
        #expect(bytes.suffix(from: size).allSatisfy { $0 == 0 })
      }
      #expect(mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) == MAP_FAILED)
      // 5000 bytes: two pages are there, the third is not.
      let client = try Shell.built("fs-client")
      #expect(try Shell.run(client, ["touch-map", small, "0"]).code == 0)
      #expect(try Shell.run(client, ["touch-map", small, "1"]).code == 0)
      #expect(try Shell.run(client, ["touch-map", small, "2"]).code == 128 + SIGBUS)
      #expect(try readFile(small).count == 5000)
    }
  }

  @Test("O_DIRECT, sendfile and copy_file_range deliver every byte", arguments: paths)
  func copying(dataPath: DataPath) async throws {
    let fixture = try await fixture(dataPath)
    let target = fixture.folder.sub("copy")
    try await onThread { () throws in
      for path in [fixture.path + "/file", fixture.path + "/tree/small"] {
        let expected = path.hasSuffix("file") ? Self.content : pattern(5000, seed: 3)
        let direct = open(path, O_RDONLY | CLinux_O_DIRECT)
        #expect(direct >= 0)
        defer { close(direct) }
        let size = 1 << 19
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4096)
        defer { buffer.deallocate() }
        var done = 0
        while done < expected.count {
          let count = pread(direct, buffer.baseAddress! + done, size - done, done)
          guard count > 0 else { break }
          done += count
        }
        #expect(buffer.prefix(done).elementsEqual(expected))

        let file = open(path, O_RDONLY)
        defer { close(file) }
        for useSendfile in [true, false] {
          let out = open(target, O_RDWR | O_CREAT | O_TRUNC, 0o600)
          defer { close(out) }
          lseek(file, 0, SEEK_SET)
          var copied = 0
          while true {
            let count =
              useSendfile
              ? sendfile(out, file, nil, 1 << 20)
              : Int(copy_file_range(file, nil, out, nil, 1 << 20, 0))
            // Between file systems the kernel may decline.
            if !useSendfile && copied == 0 && count == -1 && errno == EXDEV { break }
            #expect(count >= 0)
            if count <= 0 { break }
            copied += count
          }
          if copied > 0 { #expect(try readFile(target) == expected) }
          if useSendfile { #expect(copied == expected.count) }
        }
      }
      let cp = try Shell.run("/bin/cp", ["-a", fixture.path + "/tree", fixture.folder.sub("tree")])
      #expect(cp.code == 0, "\(cp.output)")
      let diff = try Shell.run(
        "/usr/bin/diff",
        ["-r", fixture.path + "/tree", fixture.folder.sub("tree")]
      )
      #expect(diff.code == 0, "\(diff.output)")
    }
  }

  @Test("bind mounts show the same, below the root and below directories", arguments: paths)
  func bindMounts(dataPath: DataPath) async throws {
    let fixture = try await fixture(dataPath)
    try await onThread { () throws in
      let outcome = try Shell.script(
        """
        mkdir "$1/bound"; touch "$1/bound-file"
        mount --bind "$1/mnt/tree" "$1/bound"; mount --bind "$1/mnt/file" "$1/bound-file"
        trap 'umount "$1/bound" "$1/bound-file"' EXIT
        diff -r "$1/mnt/tree" "$1/bound" && cmp "$1/mnt/file" "$1/bound-file"
        "$1/bound/script" bound
        """,
        fixture.folder.path
      )
      #expect(outcome.code == 0 && outcome.output == "it runs: bound\n", "\(outcome.output)")
    }
  }

  @Test("overlayfs takes it as its lower layer", arguments: paths)
  func overlay(dataPath: DataPath) async throws {
    let fixture = try await fixture(dataPath)
    try await onThread { () throws in
      let outcome = try Shell.script(
        """
        mkdir "$1/scratch" "$1/merged"; mount -t tmpfs scratch "$1/scratch"
        trap 'umount -l "$1/merged"; umount -l "$1/scratch"' EXIT
        mkdir "$1/scratch/upper" "$1/scratch/work"
        mount -t overlay -o "lowerdir=$1/mnt/tree,upperdir=$1/scratch/upper,workdir=$1/scratch/work" \\
          merged "$1/merged"
        cd "$1/merged"
        diff -r "$1/mnt/tree" .
        ./script layered; ls -l | wc -l
        echo changed >small; rm file; cat link; ls
        cmp "$1/mnt/file" "$1/mnt/tree/file"
        """,
        fixture.folder.path
      )
      #expect(outcome.code == 0)
      let expected = "it runs: layered\n6\nchanged\ncat\nlink\nscript\nsmall\n"
      #expect(outcome.output == expected, "\(outcome.output)")
    }
  }
}
