// The program's entry: everything else hangs off `Command`.
import CPosix

exit(Command.main())
