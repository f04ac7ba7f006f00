/* SPDX-License-Identifier: ISC */
/*
 * atomics: every access to a word that two threads or processes share.
 *
 * The words are plain integers and pointers (public headers must pass C99 and
 * C++17), so nothing but these macros may touch them.  The schedule explorer
 * in test/ replaces them to run the real code under every interleaving.
 */
#ifndef EDDY_ATOMICS_H
#define EDDY_ATOMICS_H

#ifdef __SANITIZE_THREAD__
#define EDDY_TSAN 1
#elif defined(__has_feature)
#define EDDY_TSAN __has_feature(thread_sanitizer)
#else
#define EDDY_TSAN 0
#endif

#ifdef EDDY_EXPLORE
#include "explore.h"
#else

/* Relaxed: for words that only one side writes, or where a fence follows. */
#define A_LOAD(p)       __atomic_load_n((p), __ATOMIC_RELAXED)
#define A_STORE(p, v)   __atomic_store_n((p), (v), __ATOMIC_RELAXED)

#define A_ACQUIRE(p)    __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define A_RELEASE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

/* Read-modify-write: acquire and release.  A_CAS updates *old when it fails;
 * A_ADD and A_SUB answer the value before. */
#define A_XCHG(p, v)    __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define A_ADD(p, v)     __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define A_SUB(p, v)     __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define A_CAS(p, old, v)             \
	__atomic_compare_exchange_n( \
	    (p), (old), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/*
 * The fence between "I published" and "are you asleep?", and its twin between
 * "I am asleep" and "has anything been published?".  Both sides need it: with
 * one or none the wake-up is lost (test/check_door.c).  TSan does not know
 * fences, so there it is a read-modify-write of the word that is read next.
 */
#if EDDY_TSAN
#define A_FENCE(p) ((void)__atomic_fetch_add((p), 0, __ATOMIC_SEQ_CST))
#else
#define A_FENCE(p) ((void)(p), __atomic_thread_fence(__ATOMIC_SEQ_CST))
#endif

/* The same right behind a read-modify-write, which is such a fence on x86. */
#if (defined(__x86_64__) || defined(__i386__)) && !EDDY_TSAN
#define A_FENCE_BEHIND(p) ((void)(p), __atomic_signal_fence(__ATOMIC_SEQ_CST))
#else
#define A_FENCE_BEHIND(p) A_FENCE(p)
#endif
#endif

/* A_CAS from a value to another: true if that was so. */
#define A_SWAP(p, from, to) A_CAS((p), &(__typeof__(*(p))){(from)}, (to))

#endif
