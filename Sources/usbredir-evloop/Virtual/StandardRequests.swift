// The standard requests of USB 2.0, 9.4, answered from the description of a virtual device. What the device
// does not know stalls, as 9.2.7 asks for.

extension VirtualDevice {
  /// Answers a control transfer if it is a standard request that the device knows, else stalls it.
  final func answerStandardRequest(_ transfer: Transfer) -> TransferStatus {
    let setup = transfer.setup
    switch setup.requestType {
    case 0x80: return answerIn(transfer)
    case 0x81 where interface(setup.index) != nil: return answerInterfaceIn(transfer)
    case 0x82 where setup.request == StandardRequest.getStatus:
      guard let endpoint = endpoint(index: setup.index) else { return .stalled }
      return transfer.give([endpoint.isHalted ? 1 : 0, 0])
    case 0x00: return deviceOut(setup) ? transfer.take() : .stalled
    case 0x01 where setup.request == StandardRequest.setInterface:
      return setAlternateSetting(setup.index, setup.value) ? transfer.take() : .stalled
    case 0x02 where setup.value == Feature.endpointHalt:
      return setHalt(setup) ? transfer.take() : .stalled
    default: return .stalled
    }
  }

  private func answerIn(_ transfer: Transfer) -> TransferStatus {
    switch transfer.setup.request {
    case StandardRequest.getStatus: return transfer.give([deviceStatus, 0])
    case StandardRequest.getConfiguration: return transfer.give([model.configuration])
    case StandardRequest.getDescriptor:
      guard let descriptor = descriptor(transfer.setup.value) else { return .stalled }
      return transfer.give(descriptor)
    default: return .stalled
    }
  }

  /// A device of high speed has to tell what it would be at full speed (USB 2.0, 9.6.2); virtual devices have no
  /// capabilities to tell, so there is no BOS.
  private func descriptor(_ value: UInt16) -> [UInt8]? {
    let index = UInt8(value & 0xff)
    switch UInt8(value >> 8) {
    case DescriptorType.device: return description.deviceDescriptor()
    case DescriptorType.configuration: return description.configurationDescriptor(index: Int(index))
    case DescriptorType.string: return description.stringDescriptor(index)
    case DescriptorType.deviceQualifier where description.speed == .high:
      return description.deviceQualifier()
    case DescriptorType.otherSpeedConfiguration where description.speed == .high:
      return description.configurationDescriptor(index: Int(index), atFullSpeed: true)
    default: return nil
    }
  }

  /// Bit 0 self-powered, bit 1 remote wakeup. USB 2.0, figure 9-4.
  private var deviceStatus: UInt8 {
    let attributes = description.configuration(model.configuration)?.attributes ?? 0
    return (attributes & ConfigurationDescription.selfPowered != 0 ? 1 : 0) | (remoteWakeup ? 2 : 0)
  }

  private func answerInterfaceIn(_ transfer: Transfer) -> TransferStatus {
    switch transfer.setup.request {
    case StandardRequest.getStatus: return transfer.give([0, 0])
    case StandardRequest.getInterface:
      return transfer.give([interface(transfer.setup.index)?.current ?? 0])
    default: return .stalled
    }
  }

  private func interface(_ index: UInt16) -> InterfaceModel? {
    model.interfaces.first { UInt16($0.number) == index }
  }

  private func deviceOut(_ setup: SetupPacket) -> Bool {
    switch setup.request {
    case StandardRequest.setAddress: return true
    case StandardRequest.setConfiguration: return setConfiguration(setup.value)
    case StandardRequest.setFeature, StandardRequest.clearFeature:
      let attributes = description.configuration(model.configuration)?.attributes ?? 0
      guard setup.value == Feature.deviceRemoteWakeup,
        attributes & ConfigurationDescription.remoteWakeup != 0
      else { return false }
      remoteWakeup = setup.request == StandardRequest.setFeature
      return true
    default: return false
    }
  }

  private func endpoint(index: UInt16) -> VirtualEndpoint? {
    guard let address = UInt8(exactly: index) else { return nil }
    return endpoint(EndpointAddress(rawValue: address))
  }

  private func setHalt(_ setup: SetupPacket) -> Bool {
    guard let endpoint = endpoint(index: setup.index) else { return false }
    switch setup.request {
    case StandardRequest.setFeature where endpoint.address.number != 0: endpoint.isHalted = true
    case StandardRequest.clearFeature: endpoint.isHalted = false
    default: return false
    }
    return true
  }
}
