// The roof over all tests that call getopt_long(3): its state is global, so they run one after the other.
import Testing

@Suite(.serialized) enum CommandLineTests {}
