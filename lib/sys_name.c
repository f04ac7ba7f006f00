/* SPDX-License-Identifier: ISC */
/*
 * sys_name: the calls of sys.h on directories and on names of hosts.
 */
#include "sys.h"

#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
eddy__names(const char *path, char **ret_names)
{
	int saved = errno, n = 0;
	DIR *dir = opendir(path);
	struct dirent *entry = NULL;
	char *text = NULL;
	size_t size;
	FILE *names = dir != NULL ? open_memstream(&text, &size) : NULL;

	while (names != NULL && (errno = 0, entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (fwrite(entry->d_name, strlen(entry->d_name) + 1, 1,
			names) != 1)
			break;
		n++;
	}
	if (names == NULL || errno != 0)
		n = -errno;
	if (names != NULL && fclose(names) != 0 && n >= 0)
		n = -errno;
	if (dir != NULL)
		closedir(dir);
	if (n >= 0)
		*ret_names = text;
	else
		free(text);
	errno = saved;
	return n;
}

/* What is not here is EAI_NONAME, EAI_SERVICE, or like them. */
static int
name_error(int error, int saved)
{
	static const int errors[][2] = {{0, 0}, {EAI_MEMORY, ENOMEM},
	    {EAI_AGAIN, EAGAIN}, {EAI_FAIL, EIO}, {EAI_FAMILY, EAFNOSUPPORT},
	    {EAI_SOCKTYPE, ESOCKTNOSUPPORT}, {EAI_BADFLAGS, EINVAL},
	    {EAI_OVERFLOW, EOVERFLOW}};
	int system = errno != 0 ? -errno : -EIO;
	int r = error == EAI_SYSTEM ? system : -ENOENT;
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i][0] == error)
			r = -errors[i][1];
	errno = saved;
	return r;
}

int
eddy__getaddrinfo(const char *host, const char *service,
    const struct addrinfo *hints, struct addrinfo **ret_list)
{
	int saved = errno;

	return name_error(getaddrinfo(host, service, hints, ret_list), saved);
}

int
eddy__getnameinfo(const struct sockaddr *address, unsigned size, char *host,
    char *service, int flags)
{
	int saved = errno;

	return name_error(getnameinfo(address, size, host, NI_MAXHOST, service,
			      NI_MAXSERV, flags),
	    saved);
}
