/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A test's directory, away with all that is in it. For one source file of a program. */
#include <ftw.h>
#include <stdio.h>

static int tree_remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void) st;
	(void) flag;
	(void) ftw;
	return remove(path);
}

/* Links are removed, not followed. 0, or -1 with errno set. */
static int tree_remove(const char *dir)
{
	return nftw(dir, tree_remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}
