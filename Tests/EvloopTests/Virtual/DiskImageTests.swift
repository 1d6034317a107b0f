// Images as files: what is refused and in which words, who may have one, and bytes that really reach the file.
import CPosix
import Testing

@testable import usbredir_evloop

/// A file of its own, removed with this.
final class ImageFile {
  let path: String

  init(size: Int) throws {
    path = "/tmp/disk-image-test-\(getpid())-\(monotonicNanoseconds())"
    let descriptor = unsafe posixOpen(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
    guard descriptor >= 0, ftruncate(descriptor, size) == 0 else {
      throw SystemError(code: posixErrno(), "make \(path)")
    }
    close(descriptor)
  }

  deinit {
    unsafe unlink(path)
  }

  func bytes(_ offset: Int, _ count: Int) -> [UInt8] {
    let descriptor = unsafe posixOpen(path, O_RDONLY, 0)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: count)
    let got = unsafe posixReadAt(descriptor, &bytes, count, UInt64(offset))
    return Array(bytes.prefix(max(0, got)))
  }
}

struct DiskImageTests {
  private func make(_ options: DiskOptions, _ lines: KeyboardRig.Lines = .init()) throws -> VirtualDevice {
    let log = Log(level: .info) { _, text in lines.all.append(text) }
    return try VirtualDeviceOptions.disk(options).make(loop: EventLoop(), log: log)
  }

  private func refusal(_ options: DiskOptions) -> String? {
    do {
      _ = try make(options)
      return nil
    } catch let error as VirtualDeviceError {
      return error.description
    } catch {
      return "\(error)"
    }
  }

  @Test func whatCannotBeServed() throws {
    let small = try ImageFile(size: 511)
    let block = try ImageFile(size: 2047)
    #expect(refusal(DiskOptions(image: "/nowhere/x")) == "image /nowhere/x: No such file or directory")
    #expect(refusal(DiskOptions(image: "/tmp")) == "image /tmp: is neither a file nor a block device")
    #expect(
      refusal(DiskOptions(image: "/dev/null")) == "image /dev/null: is neither a file nor a block device")
    #expect(
      refusal(DiskOptions(image: small.path))
        == "image \(small.path): has 511 bytes, which is less than a block of 512")
    #expect(
      refusal(DiskOptions(image: block.path, isCD: true))
        == "image \(block.path): has 2047 bytes, which is less than a block of 2048")
    #expect(refusal(DiskOptions(image: block.path)) == nil)
  }

  @Test func writingThatIsNotPermitted() {
    // A file that nobody may write, root included.
    #expect(
      refusal(DiskOptions(image: "/proc/sys/kernel/osrelease"))
        == "open image /proc/sys/kernel/osrelease: Permission denied; add ro to serve it read only")
  }

  @Test func oneWriterOrManyReaders() throws {
    let file = try ImageFile(size: 4096)
    let inUse =
      "lock image \(file.path): another export or program has it; one may write it, or any number read it (ro)"
    do {
      let writer = try make(DiskOptions(image: file.path))
      #expect(refusal(DiskOptions(image: file.path)) == inUse)
      #expect(refusal(DiskOptions(image: file.path, isReadOnly: true)) == inUse)
      withExtendedLifetime(writer) {}
    }
    let reader = try make(DiskOptions(image: file.path, isReadOnly: true))
    #expect(refusal(DiskOptions(image: file.path, isCD: true)) == nil)
    #expect(refusal(DiskOptions(image: file.path)) == inUse)
    withExtendedLifetime(reader) {}
  }

  @Test func anOddEndIsLeftOutWithAWarning() throws {
    let file = try ImageFile(size: 3 * 512 + 100)
    let lines = KeyboardRig.Lines()
    let disk = try #require(try make(DiskOptions(image: file.path), lines) as? VirtualDisk)
    #expect(lines.all == ["image \(file.path): its last 100 bytes are no whole block and are left out"])
    #expect(disk.geometry.blocks == 3)
  }

  @Test func serialNumbers() throws {
    let file = try ImageFile(size: 512)
    let given = try #require(
      try make(DiskOptions(image: file.path, isReadOnly: true, serial: "ABCDEF012345")) as? VirtualDisk)
    #expect(given.description.serialNumber == "ABCDEF012345" && given.geometry.serial == "ABCDEF012345")
    // FNV-1a's own test vector.
    #expect(VirtualDisk.serial(madeFrom: "a") == "AF63DC4C8601EC8C")
    #expect(VirtualDisk.serial(madeFrom: "/b") != VirtualDisk.serial(madeFrom: "/c"))
  }

  @Test("offsets beyond 4 GiB, in a file with a hole") func beyond32Bits() throws {
    let file = try ImageFile(size: 6 << 30)
    let loop = try EventLoop()
    let device = try VirtualDeviceOptions.disk(DiskOptions(image: file.path)).make(
      loop: loop, log: Log(level: .error))
    let disk = try #require(device as? VirtualDisk)
    let rig = DiskRig(disk, loop)
    let data = [UInt8](repeating: 0x5a, count: 512)
    #expect(rig.write(UInt32(5 << 21), data, flags: 8).status == "passed 0")
    #expect(file.bytes(5 << 30, 512) == data)
    #expect(
      rig.read(UInt32(5 << 21) - 1, 3).data == [UInt8](repeating: 0, count: 512) + data
        + [UInt8](repeating: 0, count: 512))
    #expect(rig.read(12 << 20 - 1, 1).status == "passed 0")
    #expect(rig.read(12 << 20, 1).status == "failed 512")
    rig.close()
  }

  @Test func whatIsReadWithoutWaitingIsWhatIsThere() throws {
    let file = try ImageFile(size: 1024)
    let image = try DiskImage(path: file.path, isReadOnly: false)
    let written = [UInt8](repeating: 0x5a, count: 512)
    #expect(unsafe image.write(written, 512, at: 512).count == 512)
    var read = [UInt8](repeating: 0, count: 512)
    // Not every file system can tell.
    if unsafe image.readNow(&read, 512, at: 512) { #expect(read == written) }
    #expect(unsafe !image.readNow(&read, 512, at: 768), "half of it is none of it")
  }

  @Test func aFileThatHasBecomeShorterIsAMediumError() throws {
    let file = try ImageFile(size: 4096)
    let loop = try EventLoop()
    let device = try VirtualDeviceOptions.disk(DiskOptions(image: file.path)).make(
      loop: loop, log: Log(level: .error) { _, _ in })
    let rig = DiskRig(try #require(device as? VirtualDisk), loop)
    #expect(rig.read(0, 8).status == "passed 0")
    _ = unsafe truncate(file.path, 1024)
    #expect(rig.read(0, 8).description == "completed 1024, stalled, failed 3072")
    #expect(rig.sense() == "03/11/00 block 2")
    rig.close()
  }
}
