// SPDX-License-Identifier: Apache-2.0
//
// Blocks whose only pointer the kernel holds: the data of a descriptor that epoll watches, the value of a timer. And
// where it does no more: the descriptor was taken out, the timer deleted.
//
// Expected: what is held is reachable, the others definite. For Valgrind all are definite.
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "told.h"

SITE static void by_epoll(int poll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = blank(24)};
  must(epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}
SITE static void by_epoll_before(int poll, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = blank(40)};
  must(epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) == 0 && epoll_ctl(poll, EPOLL_CTL_DEL, fd, NULL) == 0, "epoll_ctl");
}
SITE static void by_timer(int notify) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = notify;
  event.sigev_signo = SIGUSR1;
  event.sigev_value.sival_ptr = blank(56);
  timer_t timer;
  must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
}
SITE static void by_timer_before(void) {
  struct sigevent event;
  memset(&event, 0, sizeof event);
  event.sigev_notify = SIGEV_NONE;
  event.sigev_value.sival_ptr = blank(72);
  timer_t timer;
  must(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_delete(timer) == 0, "timer_create");
}

int main(void) {
  const int poll = epoll_create1(0);
  must(poll >= 0, "epoll_create1");
  by_epoll(poll, eventfd(0, 0));
  by_epoll(poll, eventfd(0, 0));
  by_epoll_before(poll, eventfd(0, 0));
  by_timer(SIGEV_SIGNAL);
  by_timer(SIGEV_NONE);
  by_timer_before();
  tell("by_epoll", "reachable", 2, 48);
  tell("by_epoll_before", "definite", 1, 40);
  tell("by_timer", "reachable", 2, 112);
  tell("by_timer_before", "definite", 1, 72);
  tell_of_valgrind("by_epoll", "definite", 2, 48);
  tell_of_valgrind("by_timer", "definite", 2, 112);
  last_words();
  return 0;
}
