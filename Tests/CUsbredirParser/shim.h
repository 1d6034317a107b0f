// CPosix first: every libc type has to belong to one module.
#include "../../Sources/CPosix/include/CPosix.h"

#include <usbredirfilter.h>
#include <usbredirparser.h>
