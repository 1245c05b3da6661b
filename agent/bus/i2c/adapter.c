/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/i2c/adapter.h"

#include "base/parse.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define I2C_MAJOR  89  /* Documentation/admin-guide/devices.txt */
#define NAME_BYTES 128 /* of an adapter; the kernel's has 48 */

const struct tg_i2c_roots tg_i2c_roots = { .dev = "/dev", .sys = "/sys" };

/* --- finding it --- */

/* The N of i2c-N, or UINT_MAX. */
static unsigned number_of(const char *name)
{
	uint64_t n;

	if (strncmp(name, "i2c-", 4) != 0 || tg_parse_u64(name + 4, &n) < 0 || n >= UINT_MAX)
		return UINT_MAX;
	return (unsigned) n;
}

/* What a link such as those below /dev/tidegate leads to, or UINT_MAX. */
static unsigned number_behind(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || major(st.st_rdev) != I2C_MAJOR)
		return UINT_MAX;
	return minor(st.st_rdev);
}

static bool has_name(const struct tg_i2c_roots *roots, unsigned number, const char *name)
{
	char path[256], text[NAME_BYTES];
	tg_autoclose int fd = -1;
	ssize_t n;

	(void) snprintf(path, sizeof(path), "%s/class/i2c-dev/i2c-%u/name", roots->sys, number);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return strcmp(text, name) == 0;
}

static int find_by_name(const struct tg_i2c_roots *roots, const char *name, unsigned *ret,
			struct tg_fault *reterr)
{
	char path[256];
	unsigned found = UINT_MAX;
	struct dirent *e;
	DIR *dir;

	(void) snprintf(path, sizeof(path), "%s/class/i2c-dev", roots->sys);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		unsigned number = number_of(e->d_name);

		if (number == UINT_MAX || !has_name(roots, number, name))
			continue;
		if (found != UINT_MAX) {
			(void) closedir(dir);
			return tg_fault_set(reterr, -ENOTCONN,
					    "i2c-%u and i2c-%u are both called '%s'; name one by "
					    "its number",
					    found < number ? found : number,
					    found < number ? number : found, name);
		}
		found = number;
	}
	if (dir)
		(void) closedir(dir);
	if (found == UINT_MAX)
		return tg_fault_set(reterr, -ENOTCONN, "no I2C adapter is called '%s'%s", name,
				    dir ? "" : " (is the module i2c-dev loaded?)");
	*ret = found;
	return 0;
}

static int find(const struct tg_i2c_roots *roots, const char *name, struct tg_i2c_adapter *a,
		struct tg_fault *reterr)
{
	const char *slash = strrchr(name, '/');
	int r;

	a->number = number_of(slash ? slash + 1 : name);
	if (name[0] == '/') {
		(void) snprintf(a->path, sizeof(a->path), "%s", name);
		return 0;
	}
	if (a->number == UINT_MAX) {
		r = find_by_name(roots, name, &a->number, reterr);
		if (r < 0)
			return r;
	}
	(void) snprintf(a->path, sizeof(a->path), "%s/i2c-%u", roots->dev, a->number);
	return 0;
}

static int refuse(const struct tg_i2c_adapter *a, struct tg_fault *reterr)
{
	int r = errno;

	if (r == ENOENT)
		return tg_fault_set(reterr, -ENOTCONN,
				    "%s is not there: unplugged, not enabled, or the module "
				    "i2c-dev "
				    "is not loaded",
				    a->path);
	if (r == EACCES)
		return tg_fault_set(reterr, -ENOTCONN, "%s: no permission; it is for group i2c",
				    a->path);
	return tg_fault_set(reterr, -ENOTCONN, "%s: %s", a->path, strerror(r));
}

int tg_i2c_open(const struct tg_i2c_roots *roots, const char *name, struct tg_i2c_adapter *ret,
		struct tg_fault *reterr)
{
	struct tg_i2c_adapter a = TG_I2C_ADAPTER_NULL;
	int r = find(roots, name, &a, reterr);

	if (r < 0)
		return r;
	a.fd = open(a.path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (a.fd < 0)
		return refuse(&a, reterr);
	if (a.number == UINT_MAX)
		a.number = number_behind(a.fd);
	if (ioctl(a.fd, I2C_FUNCS, &a.funcs) < 0) {
		r = tg_fault_set(reterr, -ENOTCONN, "%s is no I2C adapter: %s", a.path,
				 strerror(errno));
		tg_i2c_close(&a);
		return r;
	}
	*ret = a;
	return 0;
}

void tg_i2c_close(struct tg_i2c_adapter *a)
{
	if (a->fd >= 0)
		(void) close(a->fd);
	a->fd = -1;
}

/* --- whose it is --- */

const char *tg_i2c_holder(const struct tg_i2c_roots *roots, const struct tg_i2c_adapter *a,
			  unsigned address, char *out, size_t size)
{
	char path[256], target[256];
	const char *slash;
	ssize_t n;

	out[0] = '\0';
	(void) snprintf(path, sizeof(path), "%s/bus/i2c/devices/%u-%04x/driver", roots->sys,
			a->number, address);
	n = readlink(path, target, sizeof(target) - 1);
	if (a->number == UINT_MAX || n <= 0)
		return out;
	target[n] = '\0';
	slash = strrchr(target, '/');
	return tg_printable(out, size, slash ? slash + 1 : target,
			    strlen(slash ? slash + 1 : target));
}

int tg_i2c_select(const struct tg_i2c_roots *roots, struct tg_i2c_adapter *a, unsigned address,
		  struct tg_fault *reterr)
{
	char driver[64];

	if (ioctl(a->fd, I2C_SLAVE, (unsigned long) address) == 0)
		return 0;
	if (errno != EBUSY)
		return tg_fault_set(reterr, -errno, "0x%02x: %s", address, strerror(errno));
	(void) tg_i2c_holder(roots, a, address, driver, sizeof(driver));
	return tg_fault_set(reterr, -EBUSY,
			    "the kernel's driver %s%shas 0x%02x: read the chip by type hwmon or "
			    "iio, or "
			    "unbind the driver",
			    driver, *driver ? " " : "", address);
}

/* --- transactions --- */

/* Whether the adapter is still the one behind its path. */
static bool is_there(const struct tg_i2c_adapter *a)
{
	struct stat open_one, named;

	return fstat(a->fd, &open_one) == 0 && stat(a->path, &named) == 0 &&
	       open_one.st_rdev == named.st_rdev && open_one.st_ino == named.st_ino;
}

/* What drivers call it (Documentation/i2c/fault-codes.rst, and what they do besides). */
static int explain(const struct tg_i2c_adapter *a, unsigned address, int error,
		   struct tg_fault *reterr)
{
	if (!is_there(a))
		return tg_fault_set(reterr, -ENOTCONN, "%s was unplugged", a->path);
	switch (error) {
	case ENXIO:     /* as it should be */
	case EREMOTEIO: /* bcm2835 and others */
	case ETIMEDOUT: /* CP2112, among others */
	case ENODEV:
		return tg_fault_set(reterr, -ENXIO, "no device at 0x%02x (%s)", address,
				    strerror(error));
	case EAGAIN:
		return tg_fault_set(reterr, -EAGAIN,
				    "arbitration lost: another master, or a line is held low");
	case EBUSY:
		return tg_fault_set(reterr, -EBUSY, "the bus is busy, or a line is held low");
	default:
		return tg_fault_set(reterr, -error, "0x%02x: %s", address, strerror(error));
	}
}

static int smbus(const struct tg_i2c_adapter *a, uint8_t read_write, uint8_t command, uint32_t size,
		 union i2c_smbus_data *data)
{
	struct i2c_smbus_ioctl_data args = {
		.read_write = read_write, .command = command, .size = size, .data = data
	};

	return ioctl(a->fd, I2C_SMBUS, &args) < 0 ? -errno : 0;
}

static int smbus_read(const struct tg_i2c_adapter *a, const uint8_t *write, size_t n_write,
		      uint8_t *read, size_t n_read)
{
	bool simple = n_write == 0 && n_read == 1 && (a->funcs & I2C_FUNC_SMBUS_READ_BYTE);
	bool byte = n_write == 1 && n_read == 1 && (a->funcs & I2C_FUNC_SMBUS_READ_BYTE_DATA);
	bool word = n_write == 1 && n_read == 2 && (a->funcs & I2C_FUNC_SMBUS_READ_WORD_DATA);
	bool block = n_write == 1 && n_read <= I2C_SMBUS_BLOCK_MAX &&
		     (a->funcs & I2C_FUNC_SMBUS_READ_I2C_BLOCK);
	union i2c_smbus_data data = { .block = { (uint8_t) n_read } };
	int r;

	if (simple || byte) {
		r = smbus(a, I2C_SMBUS_READ, byte ? write[0] : 0,
			  byte ? I2C_SMBUS_BYTE_DATA : I2C_SMBUS_BYTE, &data);
		read[0] = data.byte;
		return r;
	}
	if (word) {
		r = smbus(a, I2C_SMBUS_READ, write[0], I2C_SMBUS_WORD_DATA, &data);
		/* SMBus words have their low byte first on the wire. */
		read[0] = (uint8_t) (data.word & 0xff);
		read[1] = (uint8_t) (data.word >> 8);
		return r;
	}
	if (!block)
		return -EOPNOTSUPP;
	r = smbus(a, I2C_SMBUS_READ, write[0], I2C_SMBUS_I2C_BLOCK_DATA, &data);
	if (r == 0 && data.block[0] != n_read)
		return -EPROTO;
	memcpy(read, data.block + 1, n_read);
	return r;
}

static int smbus_write(const struct tg_i2c_adapter *a, const uint8_t *write, size_t n)
{
	union i2c_smbus_data data = { .block = { 0 } };

	if (n == 1 && (a->funcs & I2C_FUNC_SMBUS_WRITE_BYTE))
		return smbus(a, I2C_SMBUS_WRITE, write[0], I2C_SMBUS_BYTE, NULL);
	if (n == 2 && (a->funcs & I2C_FUNC_SMBUS_WRITE_BYTE_DATA)) {
		data.byte = write[1];
		return smbus(a, I2C_SMBUS_WRITE, write[0], I2C_SMBUS_BYTE_DATA, &data);
	}
	if (n == 3 && (a->funcs & I2C_FUNC_SMBUS_WRITE_WORD_DATA)) {
		data.word = (uint16_t) (write[1] | write[2] << 8);
		return smbus(a, I2C_SMBUS_WRITE, write[0], I2C_SMBUS_WORD_DATA, &data);
	}
	if (n > 1 && n <= I2C_SMBUS_BLOCK_MAX + 1u && (a->funcs & I2C_FUNC_SMBUS_WRITE_I2C_BLOCK)) {
		data.block[0] = (uint8_t) (n - 1);
		memcpy(data.block + 1, write + 1, n - 1);
		return smbus(a, I2C_SMBUS_WRITE, write[0], I2C_SMBUS_I2C_BLOCK_DATA, &data);
	}
	return -EOPNOTSUPP;
}

static int rdwr(const struct tg_i2c_adapter *a, unsigned address, const uint8_t *write,
		size_t n_write, uint8_t *read, size_t n_read)
{
	struct i2c_msg msgs[2];
	struct i2c_rdwr_ioctl_data args = { .msgs = msgs };

	if (n_write) {
		msgs[args.nmsgs++] = (struct i2c_msg){
			.addr = (uint16_t) address,
			.len = (uint16_t) n_write,
			.buf = (uint8_t *) (uintptr_t) write, /* the kernel only reads it */
		};
	}
	if (n_read) {
		msgs[args.nmsgs++] = (struct i2c_msg){
			.addr = (uint16_t) address,
			.flags = I2C_M_RD,
			.len = (uint16_t) n_read,
			.buf = read,
		};
	}
	return ioctl(a->fd, I2C_RDWR, &args) < 0 ? -errno : 0;
}

int tg_i2c_transact(struct tg_i2c_adapter *a, unsigned address, const uint8_t *write,
		    size_t n_write, uint8_t *read, size_t n_read, struct tg_fault *reterr)
{
	int r;

	if (a->funcs & I2C_FUNC_I2C)
		r = rdwr(a, address, write, n_write, read, n_read);
	else if (n_read)
		r = smbus_read(a, write, n_write, read, n_read);
	else
		r = smbus_write(a, write, n_write);
	if (r == -EOPNOTSUPP)
		return tg_fault_set(reterr, r, "this adapter cannot write %zu bytes and read %zu%s",
				    n_write, n_read,
				    a->funcs & I2C_FUNC_I2C ? "" : ": it does SMBus only");
	return r < 0 ? explain(a, address, -r, reterr) : 0;
}

/* Chips there may be EEPROMs, in which an empty write followed by noise could change something (i2cdetect(8)). */
static bool is_delicate(unsigned address)
{
	return (address >= 0x30 && address <= 0x37) || (address >= 0x50 && address <= 0x5f);
}

int tg_i2c_ping(struct tg_i2c_adapter *a, unsigned address)
{
	bool quick = (a->funcs & I2C_FUNC_SMBUS_QUICK) && !is_delicate(address);
	union i2c_smbus_data data = { .byte = 0 };
	int r;

	if (ioctl(a->fd, I2C_SLAVE, (unsigned long) address) < 0)
		return -errno;
	if (quick)
		r = smbus(a, I2C_SMBUS_WRITE, 0, I2C_SMBUS_QUICK, NULL);
	else if (a->funcs & I2C_FUNC_SMBUS_READ_BYTE)
		r = smbus(a, I2C_SMBUS_READ, 0, I2C_SMBUS_BYTE, &data);
	else
		return -EOPNOTSUPP;
	if (r < 0 && !is_there(a))
		return -ENOTCONN;
	return r == 0;
}
