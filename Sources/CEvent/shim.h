// CPosix first: every libc type has to belong to one module, in both builds.
#include "../CPosix/include/CPosix.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <event2/util.h>
