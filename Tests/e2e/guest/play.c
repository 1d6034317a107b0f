// Plays numbered sound frames, so that a recording shows which of them arrived.
//   play FRAMES    plays FRAMES of 16 bit stereo at 48 kHz on /dev/dsp, then silence; prints "played FRAMES"
// Frame n, counted from 1, has n's lower 15 bits on the left, the bits above on the right, and so is never silence.
#include <fcntl.h>
#include <linux/soundcard.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { RATE = 48000, BLOCK = RATE / 100, SILENT_BLOCKS = 50 };

static int set(int dsp, unsigned long request, const char *name, int value) {
  int chosen = value;
  if (ioctl(dsp, request, &chosen) == 0 && chosen == value) return 0;
  fprintf(stderr, "play: %s %d is not to be had, %d is offered\n", name, value, chosen);
  return 1;
}

static int put(int dsp, const int16_t *block) {
  const char *next = (const char *)block, *end = (const char *)(block + 2 * BLOCK);
  while (next < end) {
    ssize_t written = write(dsp, next, (size_t)(end - next));
    if (written < 0) {
      perror("play: /dev/dsp");
      return 1;
    }
    next += written;
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fputs("usage: play FRAMES\n", stderr);
    return 2;
  }
  int dsp = open("/dev/dsp", O_WRONLY);
  if (dsp < 0) {
    perror("play: /dev/dsp");
    return 1;
  }
  if (set(dsp, SNDCTL_DSP_SETFMT, "format", AFMT_S16_LE) || set(dsp, SNDCTL_DSP_CHANNELS, "channels", 2) ||
      set(dsp, SNDCTL_DSP_SPEED, "rate", RATE))
    return 1;

  int16_t block[2 * BLOCK];
  unsigned frames = (unsigned)atoi(argv[1]), number = 0;
  while (number < frames) {
    memset(block, 0, sizeof block);
    for (int i = 0; i < BLOCK && number < frames; i++) {
      number++;
      block[2 * i] = (int16_t)(number & 0x7fff);
      block[2 * i + 1] = (int16_t)(number >> 15);
    }
    if (put(dsp, block)) return 1;
  }
  memset(block, 0, sizeof block);
  for (int i = 0; i < SILENT_BLOCKS; i++)
    if (put(dsp, block)) return 1;
  ioctl(dsp, SNDCTL_DSP_SYNC, 0);
  printf("played %u\n", frames);
  return 0;
}
