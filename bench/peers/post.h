/* SPDX-License-Identifier: ISC */
/*
 * post: what bench_post asks of a loop: threads post to it as fast as they can.
 */
#ifndef BENCH_PEERS_POST_H
#define BENCH_PEERS_POST_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { POST_MOST = 4, POST_POOL = 4096 }; /* posters; posts of each */

struct post_peer {
	void (*open)(void);
	void (*post)(unsigned poster, long i); /* its i-th; any thread */
	void (*run)(void); /* until post_seen or post_told is true */
	void (*close)(void);
};

/* Loop thread, in a callback.  True: that was the last one. */
bool post_seen(void); /* each post has one */
bool post_told(void); /* one stands for many */

extern const struct post_peer post_eddy;
extern const struct post_peer post_eddy_flag;
extern const struct post_peer post_raw;
extern const struct post_peer post_asio __attribute__((weak));
extern const struct post_peer post_glib __attribute__((weak));
extern const struct post_peer post_libuv __attribute__((weak));
extern const struct post_peer post_libev __attribute__((weak));

#ifdef __cplusplus
}
#endif

#endif
