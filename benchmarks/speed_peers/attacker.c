/* The same octets as fast as C sends them: stored connections against one TCP port, 16 at a time, on epoll.

   attacker PORT FILE SECONDS; prints connections per second. FILE: for each connection a 32-bit count of sends, and for
   each send the octets that must have arrived before it (32 bits), its size (32 bits) and its octets; little-endian.
   A connection that waits longer than PATIENCE goes on. It is closed by RST, and sources go round in 127.1.0.0/24, so
   that ports do not run out. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AT_ONCE 16
#define PATIENCE 0.05

typedef struct { uint32_t sends; const uint8_t *octets; } stored;
typedef struct { int fd; stored *what; uint32_t sent, offset, got; const uint8_t *next; double since; } peer;

static stored *connections;
static uint32_t count;
static uint64_t begun, ended;
static struct sockaddr_in target;
static int poller;
static peer peers[AT_ONCE];

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec * 1e-9;
}

static uint32_t number(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return value;
}

static void begin(peer *one) {
    struct sockaddr_in source = {.sin_family = AF_INET};
    struct linger reset = {1, 0};
    struct epoll_event events = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = one};
    int on = 1;
    one->what = &connections[begun % count];
    one->next = one->what->octets;
    one->sent = one->offset = one->got = 0;
    one->since = now();
    one->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    source.sin_addr.s_addr = htonl(0x7f010001 + (uint32_t)(begun++ / 2000 % 250));
    setsockopt(one->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(one->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(one->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (bind(one->fd, (void *)&source, sizeof source) ||
        (connect(one->fd, (void *)&target, sizeof target) && errno != EINPROGRESS)) {
        perror("attacker");
        exit(1);
    }
    epoll_ctl(poller, EPOLL_CTL_ADD, one->fd, &events);
}

static void finish(peer *one) {
    close(one->fd);
    ended++;
    begin(one);
}

static void step(peer *one, int patient) {
    uint8_t sink[65536];
    ssize_t taken;
    while ((taken = recv(one->fd, sink, sizeof sink, 0)) > 0) one->got += (uint32_t)taken;
    if (taken == 0 || (errno != EAGAIN && errno != ENOTCONN)) {
        finish(one);
        return;
    }
    while (one->sent < one->what->sends) {
        uint32_t size = number(one->next + 4);
        if (patient && one->got < number(one->next)) return;
        while (one->offset < size) {
            taken = send(one->fd, one->next + 8 + one->offset, size - one->offset, MSG_NOSIGNAL);
            if (taken < 0) {
                if (errno != EAGAIN && errno != ENOTCONN) finish(one);
                return;
            }
            one->offset += (uint32_t)taken;
        }
        one->next += 8 + size;
        one->offset = 0;
        one->sent++;
    }
    finish(one);
}

int main(int argc, char **argv) {
    if (argc != 4) return 2;
    FILE *file = fopen(argv[2], "rb");
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    uint8_t *all = malloc((size_t)size);
    if (fread(all, 1, (size_t)size, file) != (size_t)size) return 2;
    for (long at = 0; at < size; count++) {
        connections = realloc(connections, (count + 1) * sizeof *connections);
        connections[count].sends = number(all + at);
        connections[count].octets = all + at + 4;
        at += 4;
        for (uint32_t send = 0; send < connections[count].sends; send++) at += 8 + number(all + at + 4);
    }
    target.sin_family = AF_INET;
    target.sin_port = htons((uint16_t)atoi(argv[1]));
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    poller = epoll_create1(0);
    double start = now(), end = start + atof(argv[3]);
    for (int one = 0; one < AT_ONCE; one++) begin(&peers[one]);
    while (now() < end) {
        struct epoll_event events[AT_ONCE];
        int ready = epoll_wait(poller, events, AT_ONCE, 10);
        for (int one = 0; one < ready; one++) step(events[one].data.ptr, 1);
        for (int one = 0; one < AT_ONCE; one++)
            if (now() - peers[one].since > PATIENCE) step(&peers[one], 0);
    }
    printf("%.1f\n", (double)ended / (now() - start));
    return 0;
}
