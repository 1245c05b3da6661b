/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/spi/port.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/spi/spidev.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int refuse(const char *path, int error, struct tg_fault *reterr)
{
	if (error == ENOENT)
		return tg_fault_set(reterr, -ENOTCONN,
				    "%s is not there: is SPI enabled, and spidev bound to the chip "
				    "select?",
				    path);
	if (error == EACCES)
		return tg_fault_set(reterr, -ENOTCONN, "%s: no permission; it is for group spi",
				    path);
	return tg_fault_set(reterr, -ENOTCONN, "%s: %s", path, strerror(error));
}

int tg_spi_open(const char *path, const struct tg_spi_device *chip, struct tg_fault *reterr)
{
	uint32_t mode = chip->mode, had = 0;
	tg_autoclose int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return refuse(path, errno, reterr);
	if (ioctl(fd, SPI_IOC_RD_MODE32, &had) < 0)
		return errno == ENOTTY
			       ? tg_fault_set(reterr, -ENOTCONN, "%s is no SPI device", path)
			       : refuse(path, errno, reterr);
	mode |= (chip->lsb_first ? SPI_LSB_FIRST : 0) | (chip->cs_high ? SPI_CS_HIGH : 0);
	/* Where the chip select is a GPIO line the kernel sets CS_HIGH by itself, and may refuse to have it taken away. */
	if (mode != had && ioctl(fd, SPI_IOC_WR_MODE32, &mode) < 0)
		return tg_fault_set(reterr, errno == EINVAL ? -EINVAL : -ENOTCONN,
				    "%s: the controller cannot do mode %u%s%s (%s)", path,
				    chip->mode, chip->lsb_first ? ", lsb-first" : "",
				    chip->cs_high ? ", cs-high" : "", strerror(errno));
	return tg_take_fd(fd);
}

static int explain(int error, const struct tg_spi_device *chip, struct tg_fault *reterr)
{
	switch (error) {
	case ESHUTDOWN:
	case ENODEV:
		return tg_fault_set(reterr, -ENOTCONN, "the SPI device is gone");
	case EINVAL:
		return tg_fault_set(reterr, -EINVAL,
				    "the controller refuses the transfer: is speed = %u too much?",
				    chip->speed);
	case EMSGSIZE:
		return tg_fault_set(reterr, -EMSGSIZE, "longer than spidev's buffer (bufsiz)");
	default:
		return tg_fault_set(reterr, -error, "SPI: %s", strerror(error));
	}
}

int tg_spi_transfer(int fd, const struct tg_spi_device *chip, const struct tg_spi_transfer *t,
		    uint8_t answer[static TG_RAW_BYTES_MAX], struct tg_fault *reterr)
{
	uint8_t beside[TG_SPI_WRITE_MAX] = { 0 };
	struct spi_ioc_transfer parts[2] = {
		{
			.tx_buf = (uintptr_t) t->bytes,
			.rx_buf = (uintptr_t) beside,
			.len = t->n_bytes,
			.speed_hz = chip->speed,
			.bits_per_word = 8,
			.delay_usecs = t->delay_us,
		},
		/* Without a tx_buf the kernel sends zeros. */
		{
			.rx_buf = (uintptr_t) answer,
			.len = t->n_read,
			.speed_hz = chip->speed,
			.bits_per_word = 8,
		},
	};
	int r = t->n_read ? ioctl(fd, SPI_IOC_MESSAGE(2), parts)
			  : ioctl(fd, SPI_IOC_MESSAGE(1), parts);

	if (r < 0)
		return explain(errno, chip, reterr);
	if (r != t->n_bytes + t->n_read)
		return tg_fault_set(reterr, -EIO, "SPI: %d bytes of %d were transferred", r,
				    t->n_bytes + t->n_read);
	if (!t->n_read)
		memcpy(answer, beside, t->n_bytes);
	return 0;
}
