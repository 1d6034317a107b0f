// Our name and version, as peers see them in the hello (B1.2) and people with `--version`.

/// At most 63 bytes, so that the hello's 64 hold it with a NUL.
let productVersion = "usbredir-evloop 0.1.0"
