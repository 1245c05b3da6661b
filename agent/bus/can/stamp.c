/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus/can/stamp.h"

#define DRIFT_PPM 200      /* two crystals of 100 ppm */
#define JUMP_US   INT64_C(500000) /* no frame waits so long for its interrupt: the controller's clock was set */

uint64_t tg_can_stamp(struct tg_can_stamps *s, uint64_t kernel_us, uint64_t controller_us)
{
	int64_t distance = (int64_t) (kernel_us - controller_us);
	uint64_t elapsed = kernel_us > s->last_us ? kernel_us - s->last_us : 0;

	if (s->known && elapsed < UINT64_MAX / DRIFT_PPM)
		s->offset_us += (int64_t) (elapsed * DRIFT_PPM / 1000000);
	s->last_us = kernel_us;
	if (!s->known || distance < s->offset_us || distance - s->offset_us > JUMP_US)
		s->offset_us = distance;
	s->known = true;
	return controller_us + (uint64_t) s->offset_us;
}
