// A reference that keeps nothing alive, for closures and back-references whose target outlives them.
// Embedded Swift has no `weak` and no checked `unowned`; this carries the promise in a type.

/// Holds `value` without retaining it. Whoever makes one promises that the object outlives it.
@safe struct Unowned<Object: AnyObject> {
  unowned(unsafe) private let object: Object

  init(_ object: Object) {
    unsafe self.object = object
  }

  var value: Object { unsafe object }
}

/// The object behind the context pointer of a C callback. The pointer must come from `context(of:)`, and the
/// object must still live: whoever registered the callback guarantees both.
@unsafe func recover<Object: AnyObject>(_ context: UnsafeMutableRawPointer, as type: Object.Type) -> Object {
  unsafe Unmanaged<Object>.fromOpaque(context).takeUnretainedValue()
}

/// A context pointer for a C callback; retains nothing.
func context(of object: AnyObject) -> UnsafeMutableRawPointer {
  unsafe Unmanaged.passUnretained(object).toOpaque()
}
