/* A network that loses one datagram of a hundred, for the processes that load this library (LD_PRELOAD): the kernels of rented machines
 * seldom have one (netem). What is lost is reported as sent, and a byte in the file LOSSY_COUNT says so. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static int is_lost(int socket) {
  static __thread uint64_t state;
  int kind;
  socklen_t size = sizeof kind;
  if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &kind, &size) != 0 || kind != SOCK_DGRAM) return 0;
  if (state == 0) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    state = ((uint64_t)getpid() << 32 ^ (uint64_t)now.tv_nsec) | 1;
  }
  /* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators, scrambled", 2016) */
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  if ((state * 2685821657736338717ULL >> 32) % 100 != 0) return 0;
  const char *count = getenv("LOSSY_COUNT");
  int file = count ? open(count, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (file < 0 || write(file, ".", 1) != 1) abort();
  close(file);
  return 1;
}

ssize_t sendto(int socket, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
  static ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
  if (!next) next = dlsym(RTLD_NEXT, "sendto");
  return is_lost(socket) ? (ssize_t)length : next(socket, bytes, length, flags, to, size);
}

ssize_t send(int socket, const void *bytes, size_t length, int flags) {
  static ssize_t (*next)(int, const void *, size_t, int);
  if (!next) next = dlsym(RTLD_NEXT, "send");
  return is_lost(socket) ? (ssize_t)length : next(socket, bytes, length, flags);
}

ssize_t sendmsg(int socket, const struct msghdr *message, int flags) {
  static ssize_t (*next)(int, const struct msghdr *, int);
  size_t length = 0;
  if (!next) next = dlsym(RTLD_NEXT, "sendmsg");
  for (size_t nth = 0; nth < message->msg_iovlen; nth++) length += message->msg_iov[nth].iov_len;
  return is_lost(socket) ? (ssize_t)length : next(socket, message, flags);
}
