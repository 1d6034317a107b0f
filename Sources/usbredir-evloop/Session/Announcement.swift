// What the guest is told of a device, and how a device comes and goes on a session (B2): ep_info,
// interface_info, device_connect; device_disconnect and its acknowledgement; the guest's filter.

extension Session {
  /// Announces `device`, which the session owns from here on. Only when the guest wanted one.
  func attach(_ device: any Device) {
    let attached = AttachedDevice(device, session: self) { [session = Unowned(self)] device in
      session.value.deviceClosed(device)
    }
    self.attached = attached
    if let filter, let reason = filter.denial(of: device.model) {
      warn("not announcing \(device.label): the guest's filter denies it (\(reason))")
      deviceRejected = true
      return detach(answering: .ioerror, isGone: false)
    }
    sendInfos(attached)
    send(DeviceConnectHeader(device.model))
    log.info("\(name): \(device.label) announced")
  }

  /// `ep_info`, then `interface_info`: before `device_connect` and before every status that follows a change
  /// (B2.1).
  func sendInfos(_ attached: AttachedDevice) {
    attached.endpoints = EndpointTable(attached.device.model)
    send(EndpointInfoHeader(attached.endpoints))
    send(InterfaceInfoHeader(attached.device.model))
  }

  /// The device is gone, or not what it was (B2.6): device_disconnect first, only then the answers of its
  /// requests.
  func deviceLost(_ device: AttachedDevice) {
    guard device === attached else { return }
    log.info("\(name): \(device.device.label) is gone")
    disconnect(isGone: true)
  }

  func filterReject() {
    guard let attached else { return late() }
    warn(
      "the guest rejected \(attached.device.label); likely causes: its filter, a controller of another speed "
        + "(use qemu-xhci), a guest without ep_info_max_packet_size, 64bits_ids or 32bits_bulk_length")
    deviceRejected = true
    disconnect(isGone: false)
  }

  func filterReceived(_ text: Span<UInt8>) {
    do throws(FilterError) {
      filter = try Filter(parsing: text)
    } catch {
      bad("filter_filter", error.description)
    }
  }

  func disconnectAcknowledged() {
    guard awaitsDisconnectAck else { return late() }
    awaitsDisconnectAck = false
    wantDevice()
  }

  private func disconnect(isGone: Bool) {
    send(.deviceDisconnect)
    awaitsDisconnectAck = capabilities.contains(.deviceDisconnectAck)
    detach(answering: .ioerror, isGone: isGone)
  }

  /// Takes the device off the session; it is closed as soon as everything is back.
  func detach(answering status: Status, isGone: Bool) {
    guard let attached else { return }
    self.attached = nil
    leaving.append(attached)
    attached.leave(answering: status, isGone: isGone)
    // What it held up can be read on, and is answered as late.
    deviceIsIdle()
  }

  private func deviceClosed(_ device: AttachedDevice) {
    leaving.removeAll { $0 === device }
    finishIfClosed()
    tellRejected()
    wantDevice()
  }
}

extension Filter {
  /// Why the guest would reject the device, nil if it would take it (B2.2).
  fileprivate func denial(of model: DeviceModel) -> String? {
    let interfaces = model.interfaces.compactMap { interface in
      interface.currentSetting.map {
        FilteredDevice.Interface(classCode: $0.classCode, subclass: $0.subclass, protocol: $0.protocol)
      }
    }
    let device = FilteredDevice(
      deviceClass: model.classCode, vendor: model.vendor, product: model.product,
      deviceVersion: model.release,
      interfaces: interfaces)
    switch verdict(on: device) {
    case .allowed: return nil
    case .denied(let rule): return "rule \(rule + 1): \(rules[rule].description)"
    case .noMatch: return "no rule allows it"
    }
  }
}

extension DeviceConnectHeader {
  /// B2.3: what a device says of itself.
  init(_ model: DeviceModel) {
    self.init(
      speed: model.speed.rawValue, deviceClass: model.classCode, deviceSubclass: model.subclass,
      deviceProtocol: model.protocol, vendor: model.vendor, product: model.product,
      deviceVersion: model.release)
  }
}

extension InterfaceInfoHeader {
  /// The current alternate setting of every interface; the packet has room for 32.
  init(_ model: DeviceModel) {
    self.init()
    for interface in model.interfaces.prefix(32) {
      guard let setting = interface.currentSetting else { continue }
      interfaces[Int(count)] = Interface(
        number: interface.number, classCode: setting.classCode, subclass: setting.subclass,
        protocol: setting.protocol)
      count += 1
    }
  }
}

extension EndpointInfoHeader {
  init(_ table: EndpointTable) {
    self.init()
    for (index, slot) in table.slots.enumerated() {
      guard let type = slot.type else { continue }
      slots[index] = Slot(
        type: type.rawValue, interval: slot.interval, interface: slot.interface,
        maxPacketSize: slot.maxPacketSize,
        maxStreams: slot.maxStreams)
    }
  }
}
