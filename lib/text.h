/* SPDX-License-Identifier: ISC */
/*
 * text: formatted text to a descriptor, in few writes (a line of a report is
 * one), and what procfs says.
 */
#ifndef EDDY_TEXT_H
#define EDDY_TEXT_H

#include <stddef.h>

/* An initialiser: struct text text = {.fd = fd}; */
struct text {
	int fd;
	int error; /* the first, -errno */
	size_t n;  /* bytes that wait */
	char bytes[2048];
};

/* As printf; what exceeds the buffer by itself is cut. */
__attribute__((format(printf, 2, 3))) void eddy__print(
    struct text *text, const char *format, ...);

/* Write what is left: 0 or -errno. */
int eddy__print_end(struct text *text);

/* What size has room for, as a string: of the file at path, which is all there
 * is in one read; where descriptor fd leads.  Its length; <= 0: "". */
int eddy__slurp(const char *path, char *to, size_t size);
int eddy__path_of(unsigned fd, char *to, size_t size);

#endif
