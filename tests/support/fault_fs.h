#pragma once

#include <stdint.h>

/* A file system that fails on request, between a process and its disk. Two ways to use it:
 *
 * - the real binary: LD_PRELOAD=<the library> RUNLEDGER_FAULT_FS=<control file>, where the test
 *   maps the same file (fault_fs.hpp does) and changes it while the process runs;
 * - a test's own process: fault_fs.c is linked into it, and fault_fs_use() names the control file.
 *
 * Writes and syncs of files below `folder` are counted and fail as the control says. */

#ifdef __cplusplus
extern "C" {
#endif

/* What the control file holds. Plain machine integers, shared memory on both sides. */
struct fault_fs_control {
  int64_t room;        /* Bytes that can still be written before ENOSPC; negative: no limit. */
  int64_t fail_syncs;  /* fsync and fdatasync calls that fail with EIO; negative: all. */
  int64_t fail_writes; /* Write calls that fail with EIO; negative: all. */
  int64_t syncs;       /* Counted: fsync and fdatasync calls. */
  int64_t writes;      /* Counted: write calls. */
  char only[32];       /* Faults hit only files whose path ends so; empty: all. */
  char folder[440];    /* Absolute, without a slash at its end. */
};

/* Takes the control file from now on (its folder must be set); null: no faults. 0: done. */
int fault_fs_use(const char* control_file);

#ifdef __cplusplus
}
#endif
