import CastoreTestSupport
import Foundation
import Testing

/// The commands, held against the tools of Nix itself, which must be installed.
@Suite("As Nix does")
struct RealNixTests {
  static let trees = ["/usr/include", "/usr/share/doc", "nasty"]

  @Test("a tree has the same store path, the same NAR and the same hashes", arguments: trees)
  func tree(path: String) throws {
    let bench = try Workbench()
    if path == "nasty" { try bench.makeNastyTree() }
    let storePath = try bench.run("castore nix add \(path)")
    #expect(try bench.run("nix-store --add \(path)") == storePath)
    #expect(
      try bench.run("castore nix add \(path); castore nix path-info").split(separator: "\n")
        == [Substring(storePath), Substring(storePath)]
    )
    try bench.run("cmp <(nix-store --dump \(path)) <(castore nix dump \(storePath))")
    for type in path == "nasty" ? ["md5", "sha1", "sha256", "sha512"] : ["sha256"] {
      #expect(
        try bench.run("castore nix hash --type \(type) --format base32 \(storePath)")
          == bench.run("nix-hash --type \(type) --base32 \(path)")
      )
    }
    #expect(
      try bench.run("castore nix hash \(storePath)") == bench.run("nix hash path \(path)")
    )

    // What is known about it is what Nix knows, but for when it came.
    let ours = try json(bench.run("castore nix path-info --json \(storePath)"))
    let theirs = try json(bench.run("nix path-info --json \(storePath)"))
    for key in ["path", "narHash", "narSize", "ca", "references"] {
      #expect("\(ours[0][key] ?? "-")" == "\(theirs[0][key] ?? "+")")
    }

    // Their restore of ours, and our restore of theirs.
    try bench.run("castore nix dump \(storePath) | nix-store --restore theirs")
    try bench.run("nix-store --dump \(path) | castore nix restore ours; castore export ours ours")
    let fingerprint =
      "find . -printf '%P\\t%y\\t%l\\0' | sort -z; find . -type f -perm -100 -print0 | sort -z; find . -type f -print0 | sort -z | xargs -0 sha256sum -z"
    let sums = try ["theirs", "ours", path].map {
      try bench.run("cd \($0); { \(fingerprint); } | sha256sum")
    }
    #expect(Set(sums).count == 1)
    #expect(try bench.run("castore nix hash ours") == bench.run("castore nix hash \(storePath)"))
  }

  @Test("single files and links have the same store paths, by any name")
  func single() throws {
    let bench = try Workbench()
    try bench.run("echo hello > file; echo '#!/bin/sh' > exe; chmod +x exe; ln -s /nowhere link")
    for name in ["file", "exe", "link"] {
      #expect(try bench.run("castore nix add \(name)") == bench.run("nix-store --add \(name)"))
      try bench.run(
        "cmp <(nix-store --dump \(name)) <(castore nix dump $(castore nix add \(name)))"
      )
    }
    #expect(
      try bench.run("castore nix add --name other-1.0 file")
        == bench.run("cp file other-1.0; nix-store --add other-1.0")
    )
    #expect(
      try bench.run("castore import file; castore nix hash --flat --type md5 --format base16 file")
        .hasSuffix(bench.run("nix-hash --flat --type md5 file"))
    )
    #expect(try bench.fail("castore nix add --name 'a b' file").contains("illegal byte"))
    #expect(try bench.fail("castore nix add .").contains("--name"))
    #expect(try bench.run("castore nix path-info | sort | uniq -d") == "")
  }

  @Test("a closure is copied in the order of its references, and only once")
  func closure() throws {
    let bench = try Workbench()
    // Paths that refer to each other, made without building anything.
    let script = #"""
      base=$(nix-store --add /usr/share/doc/nix-bin)
      mkdir user && echo "uses $base" > user/file
      nix-store --generate-binary-cache-key test-1 secret public
      nix-store --dump user > user.nar
      path=/nix/store/$(printf '1%.0s' {1..32})-user
      str() { printf '%b' "$(printf '%016x' ${#1} | sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\\x\8\\x\7\\x\6\\x\5\\x\4\\x\3\\x\2\\x\1/')"; printf %s "$1"; head -c $(((8 - ${#1} % 8) % 8)) /dev/zero; }
      num() { printf '%b' "$(printf '%016x' $1 | sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)/\\x\8\\x\7\\x\6\\x\5\\x\4\\x\3\\x\2\\x\1/')"; }
      { num 1; cat user.nar; num 1163413838; str $path; num 2; printf '%s\n' $base $path | sort |
        while read reference; do str $reference; done; str ""; num 0; num 0; } > export
      nix-store --import < export >/dev/null
      nix store sign --key-file secret $path
      nix path-info --json --recursive $path > closure.json
      nix path-info --recursive $path | sort > paths
      """#
    try bench.run(script)
    let copy = "castore nix copy --root nix-root --from-closure"
    let copied = try bench.run("\(copy) closure.json").split(separator: "\n")
    #expect(copied.count == 2)
    #expect(copied.last?.hasSuffix("-user") == true)
    #expect(try bench.run("\(copy) - < closure.json") == "")
    try bench.run("cmp paths <(castore nix path-info | sort)")
    let ours = try json(bench.run("castore nix path-info --json \(copied[1])"))
    let theirs = try json(bench.run("nix path-info --json \(copied[1])"))
    for key in ["path", "narHash", "narSize", "references", "signatures"] {
      #expect("\(ours[0][key] ?? "-")" == "\(theirs[0][key] ?? "+")")
    }
    // What path-info prints is a closure again.
    try bench.run(
      "castore nix path-info --json > again.json; CASTORE_STORE=local:other \(copy) again.json"
    )

    // A tree that is not what the closure says is not recorded.
    try bench.run("sed 's/narSize\":[0-9]*/narSize\":120/g' closure.json > wrong.json")
    let error = try bench.fail("CASTORE_STORE=local:third \(copy) wrong.json")
    #expect(error.contains("is not what the closure says"))
    #expect(try bench.run("CASTORE_STORE=local:third castore nix path-info --json") == "[]")
    #expect(try bench.fail("head -c 100 closure.json | \(copy) -").contains("at byte"))
    #expect(
      try bench.fail(
        "CASTORE_STORE=local:third \(copy) <(sed 's/closure/x/' closure.json) --root /missing"
      )
      .contains("/missing")
    )
  }

  @Test("what is added with a key is signed so that Nix accepts it")
  func signed() throws {
    let bench = try Workbench()
    try bench.run("nix-store --generate-binary-cache-key test-1 secret public; echo hello > file")
    let path = try bench.run("castore nix add file; castore nix add --secret-key-file secret file")
      .split(separator: "\n")[0]
    // The other way round: Nix signs, and the signatures are the same.
    try bench.run("nix-store --add file; nix store sign --key-file secret \(path)")
    let ours = try json(bench.run("castore nix path-info --json \(path)"))[0]["signatures"]
    let theirs = try json(bench.run("nix path-info --json \(path)"))[0]["signatures"]
    #expect("\(ours ?? "-")" == "\(theirs ?? "+")")
    #expect(
      try bench.fail("castore nix add --secret-key-file public file").contains("secret key")
    )
  }

  @Test("a NAR that is cut off, damaged or too long is an error, and names nothing")
  func badInput() throws {
    let bench = try Workbench()
    try bench.run(
      "mkdir tree; echo hello > tree/file; ln -s file tree/link; nix-store --dump tree > nar"
    )
    let size = try #require(Int(try bench.run("stat -c %s nar")))
    for end in [0, 1, 100, size / 2, size - 1] {
      let error = try bench.fail("head -c \(end) nar | castore nix restore bad")
      #expect(error.contains("unexpected end at byte \(end)"), "\(error)")
    }
    #expect(
      try bench.fail("{ cat nar; echo; } | castore nix restore bad").contains("data after the end")
    )
    #expect(
      try bench.fail("sed s/link/alin/ nar | castore nix restore bad").contains(
        "must not come after"
      )
    )
    #expect(try bench.run("castore roots") == "")

    // The rules of import.
    try bench.run("castore nix restore good < nar; castore nix restore good < nar")
    #expect(
      try bench.fail("nix-store --dump nar | castore nix restore good").contains("good")
    )
    try bench.run("nix-store --dump nar | castore nix restore --replace good")
    try bench.run("cmp nar <(castore cat good)")
    #expect(try bench.fail("castore nix dump nothing").contains("nothing"))
    #expect(
      try bench.fail("castore nix path-info \(String(repeating: "0", count: 32))-x").contains(
        "not in"
      )
    )
  }

  @Test("a NAR of any size takes little memory, both ways")
  func memory() throws {
    let bench = try Workbench()
    // 1 GB in one file, 1 GB in files that are held in memory one by one, and many small ones.
    try bench.run(
      #"""
      mkdir -p tree/many; truncate -s 1G tree/large
      for i in {1..128}; do truncate -s $((8000000 + i)) tree/middle-$i; done
      for i in {1..5000}; do echo $i > tree/many/$i; done
      """#
    )
    // Looks at the process before it sees the end of its input, or has written the end of its output.
    let peak = #"awk '/^VmHWM/ { print $2 }' /proc/$(pgrep -f -n "castore nix $1 big")/status"#
    let output = try bench.run(
      """
      look() { \(peak); }
      nix-store --dump tree | { cat; look restore >&2; } 2>restored | castore nix restore big >/dev/null
      castore nix dump big | { head -c 2000000000 >/dev/null; look dump; cat >/dev/null; }
      cat restored
      """
    )
    let peaks = output.split(separator: "\n").compactMap { Int($0) }
    #expect(peaks.count == 2)
    for peak in peaks { #expect(peak < 200_000, "KiB") }
  }

  @Test("store paths and named roots stand side by side in a mount, and a wrong name is none")
  func mount() throws {
    let bench = try Workbench()
    let output = try bench.run(
      #"""
      mkdir tree mnt; echo hello > tree/file; chmod +x tree/file
      path=$(castore nix add tree)
      castore import --name named tree
      castore mount mnt 2>mount.log & server=$!
      trap 'umount -l mnt 2>/dev/null || true' EXIT
      for i in {1..100}; do mountpoint -q mnt && break; sleep 0.1; done
      name=${path#/nix/store/}
      ls mnt | sort > listed; printf '%s\n' named $name | sort | cmp - listed
      diff -r --no-dereference tree mnt/$name; diff -r tree mnt/named
      for wrong in $name-x ${name%?} 0${name:1} ${name:0:33}other; do
        if stat mnt/$wrong 2>/dev/null; then echo "there is $wrong"; fi
      done
      stat mnt/$name >/dev/null
      # One that comes while it is mounted.
      echo more > more; new=$(castore nix add more); sleep 1.2
      cat mnt/${new#/nix/store/}
      nix-store --dump mnt/$name | cmp - <(castore nix dump $path)
      castore ls $path; castore cat $path/file
      umount mnt; wait $server
      """#
    )
    #expect(output.split(separator: "\n").suffix(3) == ["more", "file", "hello"])
  }

  private func json(_ text: String) throws -> [[String: Any]] {
    try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
    )
  }
}
