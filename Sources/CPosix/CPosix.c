#define _GNU_SOURCE
#include "CPosix.h"

static int argumentCount;
static char **argumentVector;

// glibc passes main's arguments to constructors.
__attribute__((constructor)) static void keepArguments(int count, char **vector) {
  argumentCount = count;
  argumentVector = vector;
}

int posixArgumentCount(void) { return argumentCount; }

const char *posixArgument(int index) {
  return index >= 0 && index < argumentCount ? argumentVector[index] : NULL;
}

char **posixArgumentVector(void) { return argumentVector; }

int posixPipe(int descriptors[2], int nonBlocking) {
  return pipe2(descriptors, O_CLOEXEC | (nonBlocking ? O_NONBLOCK : 0));
}

void posixNameThread(const char *name) { pthread_setname_np(pthread_self(), name); }

const char *posixErrorText(int error) {
  static __thread char text[128];
  return strerror_r(error, text, sizeof text);
}
