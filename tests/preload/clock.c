/* Gives a process a wall clock that is off, by as much as a file says, from one call
 * to the next. Its other clocks are what they are. Loaded with LD_PRELOAD.
 *
 * CHANCERY_TEST_CLOCK  a file of eight bytes, native order: nanoseconds, signed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static volatile int64_t *off;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHANCERY_TEST_CLOCK");
    int fd;
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    if (!path)
        return;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        abort();
    off = mmap(NULL, sizeof *off, PROT_READ, MAP_SHARED, fd, 0);
    if (off == MAP_FAILED)
        abort();
    close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    const int64_t second = 1000000000;
    int64_t whole;
    int outcome;
    if (!real_clock_gettime)
        real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    outcome = real_clock_gettime(clock, now);
    if (outcome || !off || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return outcome;
    whole = now->tv_sec * second + now->tv_nsec + *off;
    now->tv_sec = whole / second;
    now->tv_nsec = whole % second;
    return outcome;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &exact))
        return -1;
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (now)
        *now = exact.tv_sec;
    return exact.tv_sec;
}
