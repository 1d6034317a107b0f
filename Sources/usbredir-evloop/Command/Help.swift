// What `--help` says. Defaults that a constant holds elsewhere are tested against these texts.

/// Commands in the order of the help; what a mistyped one is compared with.
let commandNames = ["serve", "list", "probe", "usbredirect", "usbredirserver", "help"]

func helpText(_ command: String) -> String? {
  switch command {
  case "serve": return serveHelp
  case "list": return listHelp
  case "probe": return probeHelp
  case "usbredirect": return redirectUsage
  case "usbredirserver": return redirectServerUsage
  case "help": return mainHelp
  default: return nil
  }
}

let mainHelp = """
  Usage: usbredir-evloop COMMAND [ARGUMENT…]

  Exports USB devices to virtual machines over the usbredir protocol: behind QEMU's usb-redir a
  device appears in the machine as if it were plugged in there.

    serve EXPORT…    serve devices until a signal ends it; 'help serve' explains EXPORT
    list             the USB devices of this computer, and how to name them
    probe ADDR:PORT  connect as a virtual machine would: describe the device, print its reports
    usbredirect      the command line of usbredirect 0.13: one device, one guest
    usbredirserver   the command line of usbredirserver 0.12: one device, guest after guest
    help COMMAND     more on a command; so does COMMAND --help
    --version        the version

  Try it without a device: a virtual keyboard that types into a virtual machine.

    usbredir-evloop serve virtual=keyboard,text=hello,listen=127.0.0.1:4000
    qemu-system-x86_64 … -device qemu-xhci -chardev socket,id=usb,host=127.0.0.1,port=4000 \\
      -device usb-redir,chardev=usb

  Exit status: 0 done, 1 failed (the reason is on standard error), 2 wrong options. Called by the
  name usbredirect or usbredirserver it behaves as that program, wrong options included (1).

  """

let serveHelp = """
  Usage: usbredir-evloop serve [OPTION…] EXPORT…

  An EXPORT is a list KEY=VALUE,KEY=VALUE,… that says which device, and where guests find it. In a
  value, \\, is a comma, \\\\ a backslash, \\n a new line (the Enter key), \\t a tab.

  The device, one of:
    VID:PID, id=VID:PID    by id, hexadecimal; the first that no other export has. Narrowed by
      serial=TEXT          its serial number
      nth=N                its place among equal ones, from 1, in order of bus and port
    port=BUS-PORT.PORT     by where it is plugged in, as in 1-2.3
    address=BUS-ADDRESS    by its present address, as in 1-4
    fd=N                   an open descriptor of its usbfs node
    virtual=keyboard       a keyboard of ours that types
      text=TEXT            once, when the guest first polls it
      input=PATH           more text: - (standard input), a FIFO or file, unix:PATH (a socket)
      delay=MS             milliseconds from the guest's first poll to the first key (200)
    virtual=tablet         a pointer that a script moves to places on the screen
    virtual=mouse          one that it moves by distances
      events=COMMAND;…     once, when the guest first polls it
      input=PATH           more commands while it runs, one a line, as for the keyboard:
                             move X Y    tablet: to 0…32767 or 0%…100%; mouse: so far right and down
                             press, release, click, double [left | right | middle]
                             wheel N     notches, up is positive
                             wait MS     milliseconds until the next command
    virtual=disk           a USB stick of ours
      image=PATH           its blocks: a file or a block device, which nobody else may write
      ro                   the guest cannot write
      cdrom                a CD in its drive instead, from an ISO image
      serial=DIGITS        its serial number, 12 or more of 0-9A-F (made from the path)
    virtual=echo           a HID device that answers each report with the same one, 64 bytes at most
      answer-first         gives the answer before it acknowledges the report
    virtual=source-sink    endpoints of every kind that always have data and take everything
    virtual=scripted       a device that does what a script says, for tests
      script=PATH          the script
      input=PATH           more commands while it runs, as above

  Where guests find it, one of:
    listen=ADDR:PORT       wait for them: 127.0.0.1:4000, [::1]:4000, :4000 (loopback), 0.0.0.0:4000
    listen=unix:PATH       … on a unix socket
    connect=ADDR:PORT      connect to a guest that waits; also connect=unix:PATH
      reconnect=SECONDS    connect again that long after the connection ended (5); 0: only once

  More, each with its default:
    name=TEXT              what the log calls it (the device as written)
    takeover               a new guest takes the device from the one that has it (it is refused)
    interrupt-depth=N      transfers posted per interrupt endpoint, 1 to 64 (enough for 4 ms, 4 to 32)
    max-transfer=SIZE      longest single transfer (8M); SIZE takes K and M
    max-requests=N         requests held per guest (1024)
    max-request-bytes=SIZE their bytes (64M)
    hello-timeout=SECONDS  after that long a silent guest gives way to a new one (10)
    keepalive=IDLE:INTERVAL:COUNT
                           TCP keepalive: seconds, seconds, probes (10:5:3); or keepalive=off
    user-timeout=SECONDS   how long sent data may go unacknowledged (25); 0: the kernel's limit
    window-probes=N        unanswered window probes that end a guest which does not read (5); 0: never

  Options:
    -l, --listen ADDR      listen= for a single export that has no address of its own
    -c, --connect ADDR     connect= for the same
    -u, --user NAME        become that user when all addresses are bound and all files open
        --ready-fd N       write a newline to descriptor N and close it when everything listens
        --log-level LEVEL  error, warning, info (default) or debug
    -v, --verbose          --log-level debug
    -q, --quiet            --log-level warning
    -h, --help             this text

  Devices that are not there yet are waited for, and announced again after a re-plug. SIGINT and
  SIGTERM give every device back to the kernel and end the server.

    usbredir-evloop serve 046d:c31c,listen=127.0.0.1:4000
    usbredir-evloop serve port=1-2.3,listen=unix:/run/usb/pedal virtual=keyboard,input=-,listen=:4001

  """

let listHelp = """
  Usage: usbredir-evloop list [--json]

  The USB devices of this computer: bus, address, port path, id, speed, class, serial number,
  product, and who holds its interfaces now (a kernel driver; usbfs is a program). ID, PORT and
  SERIAL are what serve's id=, port= and serial= take.

    -j, --json   an array of objects with bus, address, port, id, speed, class[], serial, product,
                 held_by[]; what is not known is null
    -h, --help   this text

  """

let probeHelp = """
  Usage: usbredir-evloop probe [OPTION…] ADDR:PORT | unix:PATH

  Connects to a usbredir server as a virtual machine would and prints the device, its interfaces and
  endpoints. Then it does what it is asked to, in the order of the options; asked for nothing, it
  starts every interrupt IN endpoint and prints each report with its time, a boot keyboard's as keys.

        --descriptors       all descriptors as a tree, with their strings
        --control SETUP     a control request in hexadecimal, as an analyser shows it:
                            bmRequestType,bRequest,wValue,wIndex,wLength[,DATA]
        --configuration N   set configuration N
        --alt IF:SETTING    set the alternate setting of an interface
        --reset             reset the device
        --exchange HEX      send a report to the interrupt OUT endpoint, wait for the answer on the
                            interrupt IN endpoint; --count times. HEX.. fills the packet with zeros
        --read EP[:TOTAL[:SIZE[:DEPTH]]], --write EP[:TOTAL[:SIZE[:DEPTH]]]
                            bulk transfers on endpoint EP (hexadecimal): TOTAL bytes (no end) in
                            transfers of SIZE (64K), DEPTH (8) in flight; K, M, G. Options beside
                            each other run at the same time. A write sends --input, else a counter
        --buffered          reads use buffered bulk receiving
        --disk              read a disk (mass storage, bulk-only) from its beginning: all of it, or
                            --count blocks
        --iso EP[:SECONDS]  run the isochronous stream of an endpoint; sets the alternate setting
                            that has it
        --latency           round trips of control requests, cycles of start and stop, and of
                            --exchange, --count of each (1000): percentiles
    -o, --output FILE       write what IN endpoints bring to FILE; -: to standard output, and all text
                            to standard error
    -i, --input FILE        what --write and --iso send; -: standard input
    -d, --duration SECONDS  stop each after that long; 0: do not wait for reports
    -n, --count N           stop after N reports, exchanges, round trips, blocks
    -t, --timeout SECONDS   how long to wait for the connection and the device, or an answer (10)
    -j, --json              one JSON object per line
    -h, --help              this text

  Without --duration and --count reports are watched until a signal ends it, the server does, or the
  device is unplugged. Exit status: 0 the device was described and all that was asked for worked
  (with --count, N reports came), 1 it did not or the connection failed, 2 wrong options.

    usbredir-evloop probe --control 80,06,0100,0000,0012 127.0.0.1:4000
    usbredir-evloop probe --read 82:100M:128K --duration 10 127.0.0.1:4000
    usbredir-evloop probe --exchange 41.. --latency 127.0.0.1:4000

  """
