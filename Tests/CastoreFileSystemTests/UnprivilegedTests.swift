import CastoreTestSupport
import Foundation
import Testing

@Suite("Mounting without root", .serialized, .timeLimit(.minutes(2)))
struct UnprivilegedTests {
  /// Runs a script as root in a mount namespace of its own with a `/dev/fuse` of its own, where `as_nobody` runs
  /// a program as the user nobody and `mounted` waits for a mount.
  private func run(deviceMode: String, fuseConf: String = "", _ text: String) async throws
    -> Shell.Outcome
  {
    let castore = try await CastoreProcess()
    let folder = castore.folder.path
    return try await onThread {
      try Shell.run(
        "/usr/bin/unshare",
        [
          "--mount", "--propagation", "private", "/bin/bash", "-c",
          """
          set -euo pipefail
          castore=$1 folder=$2
          # A server that outlived the script would hold the pipe to the test open.
          trap 'kill $(jobs -p) 2>/dev/null || true; umount -l "$folder/own" 2>/dev/null || true' EXIT
          mknod -m \(deviceMode) "$folder/fuse" c 10 229
          mount --bind "$folder/fuse" /dev/fuse
          printf '\(fuseConf)' >"$folder/fuse.conf"; chmod 644 "$folder/fuse.conf"
          [ -e /etc/fuse.conf ] && mount --bind "$folder/fuse.conf" /etc/fuse.conf
          mkdir "$folder/own"; chown 65534:65534 "$folder/own"
          # A store is its owner's alone.
          chown -R 65534:65534 "$folder/store"
          become_nobody() {
            exec setpriv --reuid 65534 --regid 65534 --clear-groups env -i PATH="$PATH" "$@"
          }
          as_nobody() { (become_nobody "$@"); }
          mounted() {
            for ((i = 0; i < 500; i++)); do
              grep -q " $folder/own fuse.castore" /proc/self/mounts && return 0
              grep -q "castore:.* $folder/own " /proc/self/mounts && return 0
              sleep 0.02
            done
            return 1
          }
          \(text)
          """,
          "script", try Shell.built("castore"), folder,
        ]
      )
    }
  }

  @Test("an ordinary user mounts and unmounts through fusermount3")
  func ordinaryUser() async throws {
    let outcome = try await run(
      deviceMode: "0666",
      """
      become_nobody "$castore" mount --store "local:$folder/store" "$folder/own" 2>"$folder/log" &
      mounted
      grep " $folder/own " /proc/self/mounts | cut -d' ' -f3,4 | tr , '\\n' | grep -cE 'user_id=65534|^fuse.castore ro$'
      as_nobody ls "$folder/own"
      as_nobody cmp "$folder/own/large/file" "$folder/own/large/file"
      as_nobody wc -c "$folder/own/large/file" | cut -d' ' -f1
      echo "denied $(ls "$folder/own" 2>&1 >/dev/null | grep -c 'Permission denied')"
      kill -TERM $!; wait $!; echo "ended $?"
      echo "left $(grep -c " $folder/own " /proc/self/mounts)"
      become_nobody "$castore" mount --store "local:$folder/store" "$folder/own" 2>>"$folder/log" &
      mounted
      as_nobody fusermount3 -u "$folder/own"; wait $!; echo "ended $?"
      grep -o 'data path [a-z]*' "$folder/log" | sort -u
      """
    )
    #expect(outcome.code == 0, "\(outcome.output)")
    let lines = outcome.output.split(separator: "\n").map(String.init)
    #expect(lines.contains("large") && lines.contains("small"))
    #expect(lines.contains("400000"), "\(outcome.output)")
    #expect(lines.contains("denied 1") && lines.contains("left 0"), "\(outcome.output)")
    #expect(lines.filter { $0 == "ended 0" }.count == 2, "\(outcome.output)")
    #expect(lines.last == "data path cached")
  }

  @Test("passthrough without privileges falls back, and says why in one line")
  func passthrough() async throws {
    let outcome = try await run(
      deviceMode: "0666",
      """
      become_nobody "$castore" mount --data-path passthrough --store "local:$folder/store" \\
        "$folder/own" 2>"$folder/log" &
      mounted
      as_nobody cat "$folder/own/large/file" | wc -c
      as_nobody fusermount3 -u "$folder/own"; wait $!
      grep -c passthrough "$folder/log"; grep -o 'CAP_SYS_ADMIN' "$folder/log"
      """
    )
    #expect(outcome.code == 0, "\(outcome.output)")
    #expect(outcome.output == "400000\n1\nCAP_SYS_ADMIN\n", "\(outcome.output)")
  }

  @Test("a device that nobody may open is named in the message")
  func closedDevice() async throws {
    let outcome = try await run(
      deviceMode: "0600",
      "as_nobody \"$castore\" mount --store \"local:$folder/store\" \"$folder/own\" && exit 9; exit 7"
    )
    #expect(outcome.code == 7)
    #expect(outcome.output.contains("/dev/fuse"), "\(outcome.output)")
    #expect(outcome.output.contains("mode must be 0666"), "\(outcome.output)")
  }

  @Test("allow_other needs the line in fuse.conf, and the message says so")
  func allowOther() async throws {
    let script = """
      become_nobody "$castore" mount --allow-other --store "local:$folder/store" "$folder/own" &
      mounted || { wait $! && exit 9; exit 7; }
      wc -c <"$folder/own/large/file"
      fusermount3 -u "$folder/own"; wait $!
      """
    let refused = try await run(
      deviceMode: "0666",
      "as_nobody \"$castore\" mount --allow-other --store \"local:$folder/store\" \"$folder/own\" && exit 9; exit 7"
    )
    #expect(refused.code == 7)
    #expect(
      refused.output.contains("Add the line `user_allow_other` to /etc/fuse.conf"),
      "\(refused.output)"
    )
    let allowed = try await run(deviceMode: "0666", fuseConf: "user_allow_other\\n", script)
    #expect(allowed.code == 0, "\(allowed.output)")
    #expect(allowed.output.contains("400000"), "\(allowed.output)")
  }

  @Test("a mount point of somebody else is refused with a reason")
  func foreignMountPoint() async throws {
    let outcome = try await run(
      deviceMode: "0666",
      "as_nobody \"$castore\" mount --store \"local:$folder/store\" \"$folder/mnt\" && exit 9; exit 7"
    )
    #expect(outcome.code == 7)
    #expect(outcome.output.contains("write access"), "\(outcome.output)")
  }
}
