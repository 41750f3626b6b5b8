/*
 * What a test has libc tell one process that it preloads this into (ld.so(8)): another wall clock, a state directory on
 * a file system that has become read-only under it. The lies are files in the folder that PORTCULLIS_TEST_LIES names, so
 * they begin and end while the process runs:
 *
 *   clock      so many seconds are added to CLOCK_REALTIME, and to no other clock
 *   read-only  what changes a file or a directory relative to a descriptor, as only the store does, fails with EROFS; also
 *              where the file was opened before, as on a disk whose file system found an error (ext4(5), errors=remount-ro)
 *
 * A wall clock can be set for a whole machine only, and mount(2) makes nothing read-only that is open for writing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* What the lie says, or nothing where it is not told. */
static int told(const char *lie, char *text, int size)
{
	const char *folder = getenv("PORTCULLIS_TEST_LIES");
	int before = errno, length = -1, file;
	char path[512];

	if (folder && snprintf(path, sizeof path, "%s/%s", folder, lie) < (int)sizeof path) {
		file = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
		if (file >= 0) {
			length = read(file, text, size - 1);
			text[length < 0 ? 0 : length] = 0;
			close(file);
		}
	}
	errno = before;
	return length >= 0;
}

static int read_only(void)
{
	char text[2];

	if (!told("read-only", text, sizeof text))
		return 0;
	errno = EROFS;
	return 1;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed = syscall(SYS_clock_gettime, clock, now);
	char text[32];

	if (!failed && clock == CLOCK_REALTIME && told("clock", text, sizeof text))
		now->tv_sec += strtol(text, NULL, 10);
	return failed;
}

int openat(int folder, const char *name, int flags, ...)
{
	va_list more;
	mode_t mode;
	int file;

	va_start(more, flags);
	mode = flags & O_CREAT ? va_arg(more, mode_t) : 0;
	va_end(more);
	if (!read_only())
		return syscall(SYS_openat, folder, name, flags, mode);
	if ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC)
		return -1;
	file = syscall(SYS_openat, folder, name, flags & ~O_CREAT, 0);
	if (file < 0 && errno == ENOENT && flags & O_CREAT)
		errno = EROFS;
	return file;
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at)
{
	return read_only() ? -1 : syscall(SYS_pwrite64, file, bytes, count, at);
}

int ftruncate64(int file, off64_t length)
{
	return read_only() ? -1 : syscall(SYS_ftruncate, file, length);
}

int unlinkat(int folder, const char *name, int flags)
{
	return read_only() ? -1 : syscall(SYS_unlinkat, folder, name, flags);
}

int renameat(int from, const char *name, int to, const char *other)
{
	return read_only() ? -1 : syscall(SYS_renameat2, from, name, to, other, 0);
}
