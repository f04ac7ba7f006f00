// SPDX-License-Identifier: ISC

// One measured run of goroutines that take jobs from a channel; the words of the
// command line are those of pool_child.c.  Go hands them over in its own
// scheduler: no thread is woken while one is awake.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

func job(ns int64) {
	if ns > 0 {
		for until := time.Now().Add(time.Duration(ns)); time.Now().Before(until); {
		}
	}
}

func run(jobs, done chan int64, window, n, work int64) {
	for i := int64(0); i < window; i++ {
		jobs <- work
	}
	for out, left := window, n-window; out > 0; left-- {
		<-done
		if left > 0 {
			jobs <- work
		} else {
			out--
		}
	}
}

func main() {
	words := make([]int64, len(os.Args)-1)
	for i := range words {
		words[i], _ = strconv.ParseInt(os.Args[i+1], 10, 64)
	}
	workers, window, n, work := words[1], words[2], words[3], words[4]
	if n < window {
		n = window
	}
	jobs, done := make(chan int64, window), make(chan int64, window)
	for i := int64(0); i < workers; i++ {
		go func() {
			for work := range jobs {
				job(work)
				done <- 0
			}
		}()
	}
	run(jobs, done, window, 4*window, work) // workers start
	began := time.Now()
	run(jobs, done, window, n, work)
	fmt.Println(float64(time.Since(began).Nanoseconds())/float64(n), 0, 0, 0)
}
