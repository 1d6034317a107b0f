// Configuration, alternate settings, halts and reset: what changes the device's state, and what the guest is
// told when it is done (B3.2–B3.5). All of it runs as operations, one at a time.

extension Session {
  // MARK: what the guest asks

  func setConfiguration(_ id: UInt64, _ header: SetConfigurationHeader) {
    guard let attached else {
      late()
      return send(ConfigurationStatusHeader(status: .ioerror, configuration: 0), id: id)
    }
    setConfiguration(header.configuration, attached, .packet(id))
  }

  /// B3.3. Setting the current value only takes alternate settings back to 0.
  func setConfiguration(_ value: UInt8, _ attached: AttachedDevice, _ reply: Reply) {
    let model = attached.device.model
    guard value == model.configuration else {
      return attached.enqueue(
        Operation(
          .setConfiguration, slots: EndpointTable.allButControl, calls: [.setConfiguration(value)],
          reply: reply))
    }
    let moved = model.interfaces.filter {
      $0.current != 0 && $0.alternateSettings.contains { $0.number == 0 }
    }
    let slots = moved.reduce(0) { $0 | attached.endpoints.slots(ofInterface: $1.number) }
    let calls = moved.map { DeviceCall.setAlternateSetting(interface: $0.number, setting: 0) }
    attached.enqueue(Operation(.setConfiguration, slots: slots, calls: calls, reply: reply))
  }

  func getConfiguration(_ id: UInt64) {
    guard let attached else {
      late()
      return send(ConfigurationStatusHeader(status: .ioerror, configuration: 0), id: id)
    }
    let configuration = attached.device.model.configuration
    send(ConfigurationStatusHeader(status: .success, configuration: configuration), id: id)
  }

  func setAltSetting(_ id: UInt64, _ header: SetAltSettingHeader) {
    guard let attached else {
      late()
      return send(AltSettingStatusHeader(status: .ioerror, interface: header.interface, alt: 0), id: id)
    }
    setAltSetting(header.interface, header.alt, attached, .packet(id))
  }

  /// B3.4. Settings are looked up by bAlternateSetting: their numbers may have gaps.
  func setAltSetting(_ interface: UInt8, _ alt: UInt8, _ attached: AttachedDevice, _ reply: Reply) {
    let model = attached.device.model.interfaces.first { $0.number == interface }
    guard let model, model.alternateSettings.contains(where: { $0.number == alt }) else {
      switch reply {
      case .packet(let id):
        send(AltSettingStatusHeader(status: .inval, interface: interface, alt: model?.current ?? 0), id: id)
      case .control(let request): attached.refuse(request, .stall)
      case .nobody: break
      }
      return bad("set_alt_setting", "the device has no setting \(alt) of interface \(interface) (B3.4)")
    }
    let call = DeviceCall.setAlternateSetting(interface: interface, setting: alt)
    attached.enqueue(
      Operation(
        .setAlternateSetting(interface: interface), slots: attached.endpoints.slots(ofInterface: interface),
        calls: [call], reply: reply))
  }

  func getAltSetting(_ id: UInt64, _ header: GetAltSettingHeader) {
    guard let attached else {
      late()
      return send(AltSettingStatusHeader(status: .ioerror, interface: header.interface, alt: 0), id: id)
    }
    guard let interface = attached.device.model.interfaces.first(where: { $0.number == header.interface })
    else {
      send(AltSettingStatusHeader(status: .inval, interface: header.interface, alt: 0), id: id)
      return bad("get_alt_setting", "the device has no interface \(header.interface) (B3.4)")
    }
    send(
      AltSettingStatusHeader(status: .success, interface: interface.number, alt: interface.current), id: id)
  }

  /// B3.5. A reset that would follow another with nothing in between is skipped.
  func reset() {
    guard let attached else { return late() }
    guard attached.isUsedSinceReset else { return }
    let hasAlternates = attached.device.model.interfaces.contains { $0.current != 0 }
    attached.enqueue(
      Operation(.reset(changesSettings: hasAlternates), slots: .max, calls: [.reset], reply: .nobody))
  }

  /// CLEAR_FEATURE(ENDPOINT_HALT): what is posted there comes back first (B3.2).
  func clearHalt(_ endpoint: EndpointAddress, _ attached: AttachedDevice, _ request: Request) {
    let slots = UInt32(1) << UInt32(endpoint.slot)
    attached.enqueue(
      Operation(.clearHalt, slots: slots, calls: [.clearHalt(endpoint)], reply: .control(request)))
  }
}

extension AttachedDevice {
  /// An operation has ended: what the guest has to hear, and what starts again.
  func conclude(_ operation: Operation, _ result: DeviceCallResult) {
    switch operation.kind {
    case .setConfiguration: configurationSet(operation, result)
    case .setAlternateSetting(let interface): alternateSettingSet(operation, interface, result)
    case .clearHalt: haltCleared(operation, result)
    case .reset(let changesSettings): resetDone(result, changesSettings)
    case .bulkStreams(let endpoints, let count): bulkStreamsChanged(operation, endpoints, count, result)
    case .recoverStall(let pipe): pipe.haltCleared(result == .done)
    case .cancelPosted: break
    }
  }

  /// The kernel freed the bulk streams of these endpoints, and the guest knows that their streams have ended.
  private func settingsChanged(_ slots: UInt32) {
    guard isAttached else { return }
    forgetStreams(slots)
    noteBulkStreams(slots, 0)
  }

  private func configurationSet(_ operation: Operation, _ result: DeviceCallResult) {
    let session = session.value
    settingsChanged(operation.slots)
    if isAttached && !operation.calls.isEmpty { session.sendInfos(self) }
    let status = Status(result)
    if result == .failed || result == .stalled {
      session.warn("\(device.label): the configuration could not be set")
    }
    switch operation.reply {
    case .packet(let id):
      let current = device.model.configuration
      let answer = result == .done ? Status.success : .ioerror
      session.send(ConfigurationStatusHeader(status: answer, configuration: current), id: id)
    case .control(let request): refuse(request, status)
    case .nobody: break
    }
  }

  private func alternateSettingSet(_ operation: Operation, _ interface: UInt8, _ result: DeviceCallResult) {
    let session = session.value
    settingsChanged(operation.slots)
    if isAttached { session.sendInfos(self) }
    switch operation.reply {
    case .packet(let id):
      let current = device.model.interfaces.first { $0.number == interface }?.current ?? 0
      session.send(AltSettingStatusHeader(status: Status(result), interface: interface, alt: current), id: id)
    case .control(let request): refuse(request, Status(result))
    case .nobody: break
    }
  }

  private func haltCleared(_ operation: Operation, _ result: DeviceCallResult) {
    restartStreams()
    if case .control(let request) = operation.reply { refuse(request, Status(result)) }
  }

  private func noteBulkStreams(_ slots: UInt32, _ count: UInt32) {
    for slot in 0..<EndpointTable.count where slots & 1 << UInt32(slot) != 0 { bulkStreams[slot] = count }
  }

  private func bulkStreamsChanged(
    _ operation: Operation, _ endpoints: UInt32, _ count: UInt32, _ result: DeviceCallResult
  ) {
    if result == .done { noteBulkStreams(operation.slots, count) }
    restartStreams()
    guard case .packet(let id) = operation.reply else { return }
    let header = BulkStreamsStatusHeader(endpoints: endpoints, streams: count, status: Status(result))
    session.value.send(header, id: id)
  }

  private func resetDone(_ result: DeviceCallResult, _ changesSettings: Bool) {
    let session = session.value
    if result == .failed || result == .stalled {
      session.warn("\(device.label): the reset failed; going on without")
    }
    guard isAttached else { return }
    isUsedSinceReset = false
    if result == .done { noteBulkStreams(.max, 0) }
    // Also after a failed reset: the interfaces were released and claimed again on the way.
    if changesSettings { session.sendInfos(self) }
    restartStreams()
  }
}

extension Status {
  /// What the guest is told of a device call's end.
  init(_ result: DeviceCallResult) {
    self =
      switch result {
      case .done: .success
      case .stalled: .stall
      case .failed, .changed, .deviceGone: .ioerror
      }
  }
}
