#ifndef IPC_LOOP_H
#define IPC_LOOP_H
/*
 * A small epoll loop: descriptors with callbacks, one tick, a stop. One per process, no threads.
 */
#include <stdint.h>

struct loop;
typedef void loop_fn(void *arg, uint32_t events);

int loop_new(struct loop **ret);
void loop_free(struct loop *l);
/* Watches fd; a second call for the same fd changes events (EPOLLIN, EPOLLOUT) and callback. */
int loop_watch(struct loop *l, int fd, uint32_t events, loop_fn *fn, void *arg);
void loop_forget(struct loop *l, int fd);
/* Runs until loop_stop. `tick` is called after each round of events and at least every tick_ms
 * (-1: only after events); it returns the tick_ms for the next round. */
typedef int loop_tick_fn(void *arg);
int loop_run(struct loop *l, loop_tick_fn *tick, void *arg, int tick_ms);
void loop_stop(struct loop *l);

#endif
