#define _GNU_SOURCE
#include "tests/support/fault_fs.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static struct fault_fs_control* control;

int fault_fs_use(const char* control_file) {
  control = NULL;
  if (control_file == NULL)
    return 0;
  int fd = open(control_file, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return -1;
  void* memory =
      mmap(NULL, sizeof(struct fault_fs_control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory == MAP_FAILED)
    return -1;
  control = memory;
  return 0;
}

__attribute__((constructor)) static void start(void) {
  const char* file = getenv("RUNLEDGER_FAULT_FS");
  if (file != NULL && fault_fs_use(file) != 0)
    abort();
}

static int ends_with(const char* path, size_t size, const char* suffix) {
  size_t length = strlen(suffix);
  return size >= length && memcmp(path + size - length, suffix, length) == 0;
}

/* Sockets, pipes and files elsewhere are left alone. 2: the file that `only` names. */
static int is_ours(int fd) {
  if (control == NULL)
    return 0;
  char link[32], path[1024];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t size = readlink(link, path, sizeof path - 1);
  size_t length = strlen(control->folder);
  if (size <= 0 || length == 0 || (size_t)size <= length
      || memcmp(path, control->folder, length) != 0 || path[length] != '/')
    return 0;
  return ends_with(path, (size_t)size, control->only) ? 2 : 1;
}

/* Counts a fault down; true if this call fails. */
static int takes(int64_t* left) {
  int64_t now = __atomic_load_n(left, __ATOMIC_SEQ_CST);
  while (now > 0)
    if (__atomic_compare_exchange_n(left, &now, now - 1, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      return 1;
  return now < 0;
}

/* How much of `size` bytes may be written now, as a full disk would; -1: fail with errno. */
static ssize_t allowed(int fd, size_t size) {
  int saved = errno;
  int ours = is_ours(fd);
  errno = saved;
  if (!ours)
    return (ssize_t)size;
  __atomic_add_fetch(&control->writes, 1, __ATOMIC_SEQ_CST);
  if (ours == 2 && takes(&control->fail_writes)) {
    errno = EIO;
    return -1;
  }
  int64_t room = __atomic_load_n(&control->room, __ATOMIC_SEQ_CST);
  if (room < 0 || ours != 2)
    return (ssize_t)size;
  if (room == 0 && size > 0) {
    errno = ENOSPC;
    return -1;
  }
  int64_t part = room < (int64_t)size ? room : (int64_t)size;
  __atomic_sub_fetch(&control->room, part, __ATOMIC_SEQ_CST);
  return (ssize_t)part;
}

static int sync_fails(int fd) {
  int saved = errno;
  int ours = is_ours(fd);
  errno = saved;
  if (!ours)
    return 0;
  __atomic_add_fetch(&control->syncs, 1, __ATOMIC_SEQ_CST);
  if (ours != 2 || !takes(&control->fail_syncs))
    return 0;
  errno = EIO;
  return 1;
}

#define NEXT(name) (__extension__(__typeof__(&name)) dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void* bytes, size_t size) {
  static __typeof__(&write) next;
  if (next == NULL)
    next = NEXT(write);
  ssize_t part = allowed(fd, size);
  return part < 0 ? -1 : next(fd, bytes, (size_t)part);
}

ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  static __typeof__(&pwrite) next;
  if (next == NULL)
    next = NEXT(pwrite);
  ssize_t part = allowed(fd, size);
  return part < 0 ? -1 : next(fd, bytes, (size_t)part, offset);
}

ssize_t pwrite64(int fd, const void* bytes, size_t size, off64_t offset) {
  static __typeof__(&pwrite64) next;
  if (next == NULL)
    next = NEXT(pwrite64);
  ssize_t part = allowed(fd, size);
  return part < 0 ? -1 : next(fd, bytes, (size_t)part, offset);
}

ssize_t writev(int fd, const struct iovec* pieces, int count) {
  static __typeof__(&writev) next;
  if (next == NULL)
    next = NEXT(writev);
  size_t size = 0;
  for (int i = 0; i < count; ++i)
    size += pieces[i].iov_len;
  ssize_t part = allowed(fd, size);
  if (part >= 0 && (size_t)part < size) { /* A vector is written whole or not at all. */
    errno = ENOSPC;
    part = -1;
  }
  return part < 0 ? -1 : next(fd, pieces, count);
}

int fsync(int fd) {
  static __typeof__(&fsync) next;
  if (next == NULL)
    next = NEXT(fsync);
  return sync_fails(fd) ? -1 : next(fd);
}

int fdatasync(int fd) {
  static __typeof__(&fdatasync) next;
  if (next == NULL)
    next = NEXT(fdatasync);
  return sync_fails(fd) ? -1 : next(fd);
}
