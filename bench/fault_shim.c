/* Faults in a process that knows nothing of them, for bench/faults.py:
 *     cc -shared -fPIC -O1 -o shim.so fault_shim.c -ldl ; LD_PRELOAD=./shim.so FAULT_FILE=f FAULT_PATH=/shop.live/ ...
 * FAULT_FILE holds two 64-bit numbers that may change at any time: the errno that writes and flushes of files below
 * FAULT_PATH get (0 = none), and the seconds by which the clock of the day is wrong.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *said;
static const char *below = "/";

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULT_FILE");
    if (getenv("FAULT_PATH")) below = getenv("FAULT_PATH");
    int handle = name ? open(name, O_RDWR) : -1;
    if (handle < 0) return;
    void *at = mmap(NULL, 16, PROT_READ, MAP_SHARED, handle, 0);
    close(handle);
    if (at != MAP_FAILED) said = at;
}

static int fails(int handle) {
    if (!said || !said[0]) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    if (!strstr(path, below)) return 0;
    errno = (int)said[0];
    return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int h, const void *b, size_t n) { REAL(write); return fails(h) ? -1 : real(h, b, n); }
ssize_t pwrite(int h, const void *b, size_t n, off_t o) { REAL(pwrite); return fails(h) ? -1 : real(h, b, n, o); }
ssize_t pwrite64(int h, const void *b, size_t n, off64_t o) { REAL(pwrite64); return fails(h) ? -1 : real(h, b, n, o); }
ssize_t writev(int h, const struct iovec *v, int n) { REAL(writev); return fails(h) ? -1 : real(h, v, n); }
int fsync(int h) { REAL(fsync); return fails(h) ? -1 : real(h); }
int fdatasync(int h) { REAL(fdatasync); return fails(h) ? -1 : real(h); }

int clock_gettime(clockid_t which, struct timespec *t) {
    REAL(clock_gettime);
    int done = real(which, t);
    if (!done && said && which == CLOCK_REALTIME) t->tv_sec += said[1];
    return done;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    static int (*real)(struct timeval *, void *);
    if (!real) real = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
    int done = real(t, zone);
    if (!done && t && said) t->tv_sec += said[1];
    return done;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
