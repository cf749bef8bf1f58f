/* Follows what a process does to the files below one directory, and what it had
 * synced of it, for a test that cuts the power. Loaded with LD_PRELOAD.
 *
 * CHANCERY_TEST_ROOT     the directory; absolute
 * CHANCERY_TEST_JOURNAL  where it is told; opened for appending, elsewhere
 *
 * A record stands in the journal after the call that it tells of succeeded, and in
 * one order with all others. A sync is told twice, when it begins and when it
 * returned: what was written before it began is durable once it has returned. The
 * last record may be cut short by SIGKILL.
 *
 * What is written through stdio is not seen (RocksDB's diary is), nor are mappings.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    CREATED = 1, /* ino, mode; path */
    WRITTEN,     /* ino, offset; bytes */
    SIZED,       /* ino, size */
    SYNCING,     /* ino, number of the sync */
    SYNCED,      /* the same */
    RENAMED,     /* from, 0, to */
    UNLINKED,    /* path */
    LINKED,      /* from, 0, to */
    MADE,        /* ino, mode; path of a directory */
    REMOVED,     /* path of a directory */
    UNSEEN,      /* name of a call that this cannot follow */
};

struct head {
    uint32_t kind;
    uint32_t bytes;
    uint64_t ino;
    uint64_t number;
};

static int journal = -1;
static dev_t device;
static char root[PATH_MAX];
static size_t root_length;
static uint64_t syncs;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_posix_fallocate)(int, off_t, off_t);
static int (*real_renameat2)(int, const char *, int, const char *, unsigned);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_linkat)(int, const char *, int, const char *, int);
static int (*real_mkdirat)(int, const char *, mode_t);
static ssize_t (*real_copy_file_range)(int, off_t *, int, off_t *, size_t, unsigned);
static ssize_t (*real_sendfile)(int, int, off_t *, size_t);

static void resolve(void) {
    real_open = dlsym(RTLD_NEXT, "open");
    real_openat = dlsym(RTLD_NEXT, "openat");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_fallocate = dlsym(RTLD_NEXT, "fallocate");
    real_posix_fallocate = dlsym(RTLD_NEXT, "posix_fallocate");
    real_renameat2 = dlsym(RTLD_NEXT, "renameat2");
    real_unlinkat = dlsym(RTLD_NEXT, "unlinkat");
    real_linkat = dlsym(RTLD_NEXT, "linkat");
    real_mkdirat = dlsym(RTLD_NEXT, "mkdirat");
    real_copy_file_range = dlsym(RTLD_NEXT, "copy_file_range");
    real_sendfile = dlsym(RTLD_NEXT, "sendfile");
}

__attribute__((constructor)) static void begin(void) {
    const char *directory = getenv("CHANCERY_TEST_ROOT");
    const char *path = getenv("CHANCERY_TEST_JOURNAL");
    struct stat found;
    resolve();
    if (!directory || !path)
        return;
    if (stat(directory, &found) || strlen(directory) >= sizeof root)
        abort();
    device = found.st_dev;
    root_length = (size_t)(stpcpy(root, directory) - root);
    journal = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (journal < 0)
        abort();
}

/* With `order` held. What cannot be told must not be taken for not done. */
static void tell_parts(enum kind kind, uint64_t ino, uint64_t number, const struct iovec *parts,
                       int count, size_t bytes) {
    struct head head = {kind, (uint32_t)bytes, ino, number};
    struct iovec all[IOV_MAX];
    size_t left = bytes;
    int used = 1;
    all[0] = (struct iovec){&head, sizeof head};
    for (int part = 0; part < count && left; part++) {
        size_t length = parts[part].iov_len < left ? parts[part].iov_len : left;
        all[used++] = (struct iovec){parts[part].iov_base, length};
        left -= length;
    }
    if (used > IOV_MAX - 1 || real_writev(journal, all, used) != (ssize_t)(sizeof head + bytes))
        abort();
}

static void tell(enum kind kind, uint64_t ino, uint64_t number, const void *data, size_t bytes) {
    struct iovec part = {(void *)data, bytes};
    tell_parts(kind, ino, number, &part, 1, bytes);
}

static void tell_unseen(const char *call) {
    pthread_mutex_lock(&order);
    tell(UNSEEN, 0, 0, call, strlen(call));
    pthread_mutex_unlock(&order);
}

/* Whether a descriptor is a file or a directory that may be followed. */
static int follow(int fd, struct stat *found) {
    return journal >= 0 && fd > 2 && fd != journal && !fstat(fd, found) && found->st_dev == device &&
           (S_ISREG(found->st_mode) || S_ISDIR(found->st_mode));
}

/* The absolute path of `name`, or nothing when it is not below the root. */
static int within(int at, const char *name, char *path) {
    if (journal < 0)
        return 0;
    if (name[0] == '/') {
        if (strlen(name) >= PATH_MAX)
            return 0;
        strcpy(path, name);
    } else {
        char link[64], base[PATH_MAX];
        ssize_t length;
        if (at == AT_FDCWD)
            strcpy(link, "/proc/self/cwd");
        else
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        length = readlink(link, base, sizeof base - 1);
        if (length < 0 || (size_t)length + strlen(name) + 2 >= PATH_MAX)
            return 0;
        base[length] = 0;
        stpcpy(stpcpy(stpcpy(path, base), "/"), name);
    }
    return !strncmp(path, root, root_length) && path[root_length] == '/';
}

static int open_at(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat found;
    int existed, fd;
    if (!(flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE || !within(at, name, path))
        return real_openat(at, name, flags, mode);
    pthread_mutex_lock(&order);
    existed = !fstatat(at, name, &found, 0);
    fd = real_openat(at, name, flags, mode);
    if (fd >= 0 && !fstat(fd, &found)) {
        if (!existed)
            tell(CREATED, found.st_ino, found.st_mode & 07777, path, strlen(path));
        else if (flags & O_TRUNC)
            tell(SIZED, found.st_ino, 0, "", 0);
    }
    pthread_mutex_unlock(&order);
    return fd;
}

#define MODE(flags, mode)                                                                          \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode = va_arg(more, mode_t);                                                               \
        va_end(more);                                                                              \
    }

int open(const char *name, int flags, ...) {
    MODE(flags, mode)
    return open_at(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    MODE(flags, mode)
    return open_at(AT_FDCWD, name, flags, mode);
}
int openat(int at, const char *name, int flags, ...) {
    MODE(flags, mode)
    return open_at(at, name, flags, mode);
}
int openat64(int at, const char *name, int flags, ...) {
    MODE(flags, mode)
    return open_at(at, name, flags, mode);
}
int creat(const char *name, mode_t mode) {
    return open_at(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    struct iovec part = {(void *)bytes, count};
    return writev(fd, &part, 1);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat found;
    ssize_t written;
    int is_followed = follow(fd, &found) && S_ISREG(found.st_mode);
    if (!is_followed)
        return real_writev(fd, parts, count);
    pthread_mutex_lock(&order);
    written = real_writev(fd, parts, count);
    if (written > 0) {
        off_t end = lseek(fd, 0, SEEK_CUR);
        tell_parts(WRITTEN, found.st_ino, (uint64_t)(end - written), parts, count, (size_t)written);
    }
    pthread_mutex_unlock(&order);
    return written;
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    struct stat found;
    ssize_t written;
    if (!follow(fd, &found) || !S_ISREG(found.st_mode))
        return real_pwritev(fd, parts, count, offset);
    pthread_mutex_lock(&order);
    written = real_pwritev(fd, parts, count, offset);
    if (written > 0)
        tell_parts(WRITTEN, found.st_ino, (uint64_t)offset, parts, count, (size_t)written);
    pthread_mutex_unlock(&order);
    return written;
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    return pwritev(fd, parts, count, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    struct iovec part = {(void *)bytes, count};
    return pwritev(fd, &part, 1, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    return pwrite(fd, bytes, count, offset);
}

static int sync_with(int (*sync)(int), int fd) {
    struct stat found;
    uint64_t number;
    int outcome;
    if (!follow(fd, &found))
        return sync(fd);
    pthread_mutex_lock(&order);
    number = ++syncs;
    tell(SYNCING, found.st_ino, number, "", 0);
    pthread_mutex_unlock(&order);
    outcome = sync(fd);
    if (!outcome) {
        pthread_mutex_lock(&order);
        tell(SYNCED, found.st_ino, number, "", 0);
        pthread_mutex_unlock(&order);
    }
    return outcome;
}
int fsync(int fd) { return sync_with(real_fsync, fd); }
int fdatasync(int fd) { return sync_with(real_fdatasync, fd); }

int ftruncate(int fd, off_t size) {
    struct stat found;
    int outcome;
    if (!follow(fd, &found))
        return real_ftruncate(fd, size);
    pthread_mutex_lock(&order);
    outcome = real_ftruncate(fd, size);
    if (!outcome)
        tell(SIZED, found.st_ino, (uint64_t)size, "", 0);
    pthread_mutex_unlock(&order);
    return outcome;
}
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int fallocate(int fd, int mode, off_t offset, off_t length) {
    struct stat found, now;
    int outcome;
    if (!follow(fd, &found))
        return real_fallocate(fd, mode, offset, length);
    if (mode & ~FALLOC_FL_KEEP_SIZE)
        tell_unseen("fallocate");
    pthread_mutex_lock(&order);
    outcome = real_fallocate(fd, mode, offset, length);
    if (!outcome && !fstat(fd, &now) && now.st_size != found.st_size)
        tell(SIZED, now.st_ino, (uint64_t)now.st_size, "", 0);
    pthread_mutex_unlock(&order);
    return outcome;
}
int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    return fallocate(fd, mode, offset, length);
}
int posix_fallocate(int fd, off_t offset, off_t length) {
    struct stat found, now;
    int outcome;
    if (!follow(fd, &found))
        return real_posix_fallocate(fd, offset, length);
    pthread_mutex_lock(&order);
    outcome = real_posix_fallocate(fd, offset, length);
    if (!outcome && !fstat(fd, &now) && now.st_size != found.st_size)
        tell(SIZED, now.st_ino, (uint64_t)now.st_size, "", 0);
    pthread_mutex_unlock(&order);
    return outcome;
}
int posix_fallocate64(int fd, off64_t offset, off64_t length) {
    return posix_fallocate(fd, offset, length);
}

static void tell_two(enum kind kind, const char *from, const char *to) {
    struct iovec parts[] = {{(void *)from, strlen(from) + 1}, {(void *)to, strlen(to)}};
    tell_parts(kind, 0, 0, parts, 2, parts[0].iov_len + parts[1].iov_len);
}

int renameat2(int at, const char *name, int to_at, const char *to_name, unsigned flags) {
    char from[PATH_MAX], to[PATH_MAX];
    int outcome, is_from = within(at, name, from), is_to = within(to_at, to_name, to);
    if (!is_from && !is_to)
        return real_renameat2(at, name, to_at, to_name, flags);
    if (!is_from || !is_to || flags)
        tell_unseen("rename");
    pthread_mutex_lock(&order);
    outcome = real_renameat2(at, name, to_at, to_name, flags);
    if (!outcome)
        tell_two(RENAMED, from, to);
    pthread_mutex_unlock(&order);
    return outcome;
}
int rename(const char *name, const char *to) { return renameat2(AT_FDCWD, name, AT_FDCWD, to, 0); }
int renameat(int at, const char *name, int to_at, const char *to) {
    return renameat2(at, name, to_at, to, 0);
}

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_MAX];
    int outcome;
    if (!within(at, name, path))
        return real_unlinkat(at, name, flags);
    pthread_mutex_lock(&order);
    outcome = real_unlinkat(at, name, flags);
    if (!outcome)
        tell(flags & AT_REMOVEDIR ? REMOVED : UNLINKED, 0, 0, path, strlen(path));
    pthread_mutex_unlock(&order);
    return outcome;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    int outcome = unlink(name);
    return outcome && (errno == EISDIR || errno == EPERM) ? rmdir(name) : outcome;
}

int linkat(int at, const char *name, int to_at, const char *to_name, int flags) {
    char from[PATH_MAX], to[PATH_MAX];
    int outcome, is_from = within(at, name, from), is_to = within(to_at, to_name, to);
    if (!is_to)
        return real_linkat(at, name, to_at, to_name, flags);
    if (!is_from)
        tell_unseen("link");
    pthread_mutex_lock(&order);
    outcome = real_linkat(at, name, to_at, to_name, flags);
    if (!outcome)
        tell_two(LINKED, from, to);
    pthread_mutex_unlock(&order);
    return outcome;
}
int link(const char *name, const char *to) { return linkat(AT_FDCWD, name, AT_FDCWD, to, 0); }

int mkdirat(int at, const char *name, mode_t mode) {
    char path[PATH_MAX];
    struct stat found;
    int outcome;
    if (!within(at, name, path))
        return real_mkdirat(at, name, mode);
    pthread_mutex_lock(&order);
    outcome = real_mkdirat(at, name, mode);
    if (!outcome && !fstatat(at, name, &found, 0))
        tell(MADE, found.st_ino, found.st_mode & 07777, path, strlen(path));
    pthread_mutex_unlock(&order);
    return outcome;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

ssize_t copy_file_range(int in, off_t *from, int out, off_t *to, size_t length, unsigned flags) {
    struct stat found;
    if (follow(out, &found))
        tell_unseen("copy_file_range");
    return real_copy_file_range(in, from, out, to, length, flags);
}
ssize_t sendfile(int out, int in, off_t *from, size_t length) {
    struct stat found;
    if (follow(out, &found))
        tell_unseen("sendfile");
    return real_sendfile(out, in, from, length);
}
