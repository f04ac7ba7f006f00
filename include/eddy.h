/* SPDX-License-Identifier: ISC */
/* eddy: asynchronous and synchronous code in one program; see eddy(7). */
#ifndef EDDY_H
#define EDDY_H

#include <eddy/base.h>
#include <eddy/loop.h>
#include <eddy/stats.h>
#include <eddy/timer.h>
#include <eddy/post.h>
#include <eddy/watch.h>
#include <eddy/task.h>
#include <eddy/strand.h>
#include <eddy/sync.h>
#include <eddy/signal.h>
#include <eddy/child.h>
#include <eddy/io.h>
#include <eddy/executor.h>
#include <eddy/transform.h>
#include <eddy/thread_pool.h>
#include <eddy/process_pool.h>
#include <eddy/offload.h>
#include <eddy/stall.h>
#include <eddy/dump.h>
#include <eddy/blocking.h>
#include <eddy/net.h>
#include <eddy/trace.h>

#endif
