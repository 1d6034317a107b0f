// Placeholder until the keyboard lands: [virtual] deletes this file.
enum VirtualDeviceError: Error, CustomStringConvertible { case x; var description: String { "" } }
extension VirtualDeviceOptions { func make(loop: EventLoop, log: Log) throws(VirtualDeviceError) -> VirtualDevice { ScriptedDevice(loop: loop) } }
