/*
 * Records what a process asks of the disk, in the order in which it asks: loaded with LD_PRELOAD into a program that knows
 * nothing of it. Each call that writes, cuts, syncs, renames or deletes a file is made as it was, and when it has succeeded
 * one record is appended to a log, with the bytes that were really written.
 *
 *   LANE_RECORD_LOG    the log; nothing is recorded without it
 *   LANE_RECORD_WORD   only files whose path contains this word
 *   LANE_RECORD_KILL   kills the process with SIGKILL right before its n-th recorded call
 *
 * What it keeps true: a write and its record are one step for other threads of the process, so the log has the order of the
 * disk. A sync has two records, one before and one after the call: what was written meanwhile by others is not covered by it.
 * The log itself and descriptors 0 to 2 are never recorded. Bytes that reach a file through mmap are not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { WRITE = 1, TRUNCATE = 2, SYNC_BEGIN = 3, SYNC_END = 4, UNLINK = 5, RENAME = 6 };

/* Little-endian on every machine that this runs on. `path` and `data` follow. */
struct head {
  uint32_t magic;
  uint32_t kind;
  uint64_t offset; /* of a write; new length of a truncation; number of a sync */
  uint32_t path_length;
  uint32_t data_length;
};

static const uint32_t MAGIC = 0x4c414e45;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static int is_ready = 0;
static const char *word = NULL;
static long kill_at = 0;
static long calls = 0;
static uint64_t syncs = 0;

#define REAL(type, name, ...)                                   \
  static type (*real)(__VA_ARGS__) = NULL;                      \
  if (real == NULL) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

/* The first caller opens the log; called with the lock held. */
static void prepare(void) {
  if (is_ready) return;
  is_ready = 1;
  const char *path = getenv("LANE_RECORD_LOG");
  word = getenv("LANE_RECORD_WORD");
  const char *at = getenv("LANE_RECORD_KILL");
  if (at != NULL) kill_at = atol(at);
  if (path == NULL || word == NULL) return;
  int (*real_open)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
  log_fd = real_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

/* Whether files are recorded at all, and this one is; `path` is filled in. Called with the lock held. */
static int is_wanted(int fd, char *path, size_t size) {
  prepare();
  if (log_fd < 0 || fd <= 2 || fd == log_fd) return 0;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, size - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return path[0] == '/' && strstr(path, word) != NULL;
}

static void count_call(void) {
  if (kill_at > 0 && ++calls == kill_at) kill(getpid(), SIGKILL);
}

static void append(enum kind kind, uint64_t offset, const char *path, const struct iovec *data, int parts) {
  ssize_t (*real_writev)(int, const struct iovec *, int) =
      (ssize_t(*)(int, const struct iovec *, int))dlsym(RTLD_NEXT, "writev");
  struct iovec all[2 + 16];
  struct head head = {MAGIC, kind, offset, (uint32_t)strlen(path), 0};
  if (parts > 16) abort();
  for (int i = 0; i < parts; i++) {
    head.data_length += (uint32_t)data[i].iov_len;
    all[2 + i] = data[i];
  }
  all[0] = (struct iovec){&head, sizeof head};
  all[1] = (struct iovec){(void *)path, head.path_length};
  ssize_t length = (ssize_t)(sizeof head + head.path_length + head.data_length);
  /* a log with a gap would accuse the innocent */
  if (real_writev(log_fd, all, 2 + parts) != length) abort();
}

/* Of a write that has been done: `where` is its offset, or -1 for the descriptor's own position. */
static void wrote(int fd, const char *path, const struct iovec *data, int parts, ssize_t done, off_t where) {
  if (done <= 0) return;
  struct iovec kept[16];
  ssize_t left = done;
  int count = 0;
  for (int i = 0; i < parts && left > 0; i++, count++) {
    if (i >= 16) abort();
    size_t length = data[i].iov_len < (size_t)left ? data[i].iov_len : (size_t)left;
    kept[count] = (struct iovec){data[i].iov_base, length};
    left -= (ssize_t)length;
  }
  off_t offset = where >= 0 ? where : lseek(fd, 0, SEEK_CUR) - done;
  append(WRITE, (uint64_t)offset, path, kept, count);
}

#define RECORDED_WRITE(call, parts_pointer, part_count, where)   \
  char path[4096];                                              \
  pthread_mutex_lock(&lock);                                    \
  int wanted = is_wanted(fd, path, sizeof path);                \
  if (wanted) count_call();                                     \
  ssize_t done = call;                                          \
  if (wanted) wrote(fd, path, parts_pointer, part_count, done, where); \
  pthread_mutex_unlock(&lock);                                  \
  return done

ssize_t write(int fd, const void *data, size_t length) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (fd <= 2) return real(fd, data, length);
  struct iovec one = {(void *)data, length};
  RECORDED_WRITE(real(fd, data, length), &one, 1, -1);
}

ssize_t writev(int fd, const struct iovec *data, int parts) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  if (fd <= 2) return real(fd, data, parts);
  RECORDED_WRITE(real(fd, data, parts), data, parts, -1);
}

ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t);
  struct iovec one = {(void *)data, length};
  RECORDED_WRITE(real(fd, data, length, offset), &one, 1, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
  struct iovec one = {(void *)data, length};
  RECORDED_WRITE(real(fd, data, length, offset), &one, 1, offset);
}

ssize_t pwritev(int fd, const struct iovec *data, int parts, off_t offset) {
  REAL(ssize_t, "pwritev", int, const struct iovec *, int, off_t);
  RECORDED_WRITE(real(fd, data, parts, offset), data, parts, offset);
}

ssize_t pwritev64(int fd, const struct iovec *data, int parts, off64_t offset) {
  REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off64_t);
  RECORDED_WRITE(real(fd, data, parts, offset), data, parts, offset);
}

#define RECORDED_CUT(call, length)                              \
  char path[4096];                                              \
  pthread_mutex_lock(&lock);                                    \
  int wanted = is_wanted(fd, path, sizeof path);                \
  if (wanted) count_call();                                     \
  int answer = call;                                            \
  if (wanted && answer == 0) append(TRUNCATE, (uint64_t)(length), path, NULL, 0); \
  pthread_mutex_unlock(&lock);                                  \
  return answer

int ftruncate(int fd, off_t length) {
  REAL(int, "ftruncate", int, off_t);
  RECORDED_CUT(real(fd, length), length);
}

int ftruncate64(int fd, off64_t length) {
  REAL(int, "ftruncate64", int, off64_t);
  RECORDED_CUT(real(fd, length), length);
}

/* A sync may take long, and others go on meanwhile: two records with the same number. */
#define RECORDED_SYNC(call)                                     \
  char path[4096];                                              \
  pthread_mutex_lock(&lock);                                    \
  int wanted = is_wanted(fd, path, sizeof path);                \
  uint64_t number = ++syncs;                                    \
  if (wanted) {                                                 \
    count_call();                                               \
    append(SYNC_BEGIN, number, path, NULL, 0);                  \
  }                                                             \
  pthread_mutex_unlock(&lock);                                  \
  int answer = call;                                            \
  if (wanted && answer == 0) {                                  \
    pthread_mutex_lock(&lock);                                  \
    append(SYNC_END, number, path, NULL, 0);                    \
    pthread_mutex_unlock(&lock);                                \
  }                                                             \
  return answer

int fsync(int fd) {
  REAL(int, "fsync", int);
  RECORDED_SYNC(real(fd));
}

int fdatasync(int fd) {
  REAL(int, "fdatasync", int);
  RECORDED_SYNC(real(fd));
}

/* Absolute path of a name, as far as it can be told: the file itself may be gone. */
static int is_wanted_name(const char *name, char *path, size_t size) {
  prepare();
  if (log_fd < 0) return 0;
  if (name[0] == '/') {
    snprintf(path, size, "%s", name);
  } else {
    char folder[3000];
    if (getcwd(folder, sizeof folder) == NULL) return 0;
    snprintf(path, size, "%s/%s", folder, name);
  }
  return strstr(path, word) != NULL;
}

int unlink(const char *name) {
  REAL(int, "unlink", const char *);
  char path[8192];
  pthread_mutex_lock(&lock);
  int wanted = is_wanted_name(name, path, sizeof path);
  if (wanted) count_call();
  int answer = real(name);
  if (wanted && answer == 0) append(UNLINK, 0, path, NULL, 0);
  pthread_mutex_unlock(&lock);
  return answer;
}

/* The new name is the record's data. */
int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  char path[8192];
  char target[8192];
  pthread_mutex_lock(&lock);
  int wanted = is_wanted_name(from, path, sizeof path) && is_wanted_name(to, target, sizeof target);
  if (wanted) count_call();
  int answer = real(from, to);
  if (wanted && answer == 0) {
    struct iovec one = {target, strlen(target)};
    append(RENAME, 0, path, &one, 1);
  }
  pthread_mutex_unlock(&lock);
  return answer;
}

/* Opening with O_TRUNC is a truncation. */
static void opened(int fd, int flags) {
  if (fd < 0 || (flags & O_TRUNC) == 0) return;
  char path[4096];
  pthread_mutex_lock(&lock);
  if (is_wanted(fd, path, sizeof path)) append(TRUNCATE, 0, path, NULL, 0);
  pthread_mutex_unlock(&lock);
}

#define MODE_OF(flags)                                          \
  mode_t mode = 0;                                              \
  if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                 \
    va_list list;                                               \
    va_start(list, flags);                                      \
    mode = va_arg(list, mode_t);                                \
    va_end(list);                                               \
  }

int open(const char *name, int flags, ...) {
  REAL(int, "open", const char *, int, ...);
  MODE_OF(flags)
  int fd = real(name, flags, mode);
  opened(fd, flags);
  return fd;
}

int open64(const char *name, int flags, ...) {
  REAL(int, "open64", const char *, int, ...);
  MODE_OF(flags)
  int fd = real(name, flags, mode);
  opened(fd, flags);
  return fd;
}
