/* Services in C: cdesk MODE ENDPOINT [hardened].

   feed   PUB of 1 KiB quotes.           Weakness: SNDHWM 0; what a reader does not read is kept without limit.
   slow   PULL, a millisecond a message. Weakness: RCVHWM 0; what comes faster is taken without limit.
   mixed  ROUTER that takes what is there and answers all of it. Weakness: to who asked last.
   Hardened: libzmq's usual mark of 1000; a mark of 64; each answer to who asked.
   Build: cc -O1 -g -o cdesk cdesk.c -lzmq */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum { QUOTE = 1024, BURST = 100, BATCH = 64, NAME = 256, BODY = 4096 };

static volatile sig_atomic_t stopped;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static void rest(long microseconds) {
    struct timespec time = {0, microseconds * 1000};
    nanosleep(&time, NULL);
}

static void feed(void *socket) {
    static char quote[QUOTE];
    while (!stopped) {
        for (int i = 0; i < BURST; i++) zmq_send(socket, quote, sizeof quote, ZMQ_DONTWAIT);
        rest(10000);
    }
}

static void slow(void *socket) {
    char body[BODY];
    while (!stopped)
        if (zmq_recv(socket, body, sizeof body, 0) >= 0) rest(1000);
}

struct request {
    char name[NAME];
    int named;
    zmq_msg_t parts[4];
    int count;
};

/* One message: who sent it, and up to four frames; more are dropped. Returns -1 where there is none. */
static int take(void *socket, struct request *request, int flags) {
    request->named = zmq_recv(socket, request->name, sizeof request->name, flags);
    if (request->named < 0) return -1;
    if (request->named > NAME) request->named = NAME;
    request->count = 0;
    int more = 1;
    size_t size = sizeof more;
    while (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) == 0 && more) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0) return -1;
        if (request->count < 4) {
            zmq_msg_init(&request->parts[request->count]);
            zmq_msg_move(&request->parts[request->count++], &part);
        }
        zmq_msg_close(&part);
    }
    return 0;
}

static void mixed(void *socket, int hardened) {
    static struct request batch[BATCH];
    while (!stopped) {
        int taken = 0;
        while (taken < BATCH && take(socket, &batch[taken], taken ? ZMQ_DONTWAIT : 0) == 0) taken++;
        for (int i = 0; i < taken; i++) {
            const struct request *who = &batch[hardened ? i : taken - 1];
            int last = batch[i].count == 0;
            zmq_send(socket, who->name, (size_t)who->named, last ? 0 : ZMQ_SNDMORE);
            for (int k = 0; k < batch[i].count; k++) {
                zmq_msg_send(&batch[i].parts[k], socket, k + 1 < batch[i].count ? ZMQ_SNDMORE : 0);
                zmq_msg_close(&batch[i].parts[k]);
            }
        }
    }
}

int main(int argc, char **argv) {
    int type = argc < 3                       ? -1
               : strcmp(argv[1], "feed") == 0  ? ZMQ_PUB
               : strcmp(argv[1], "slow") == 0  ? ZMQ_PULL
               : strcmp(argv[1], "mixed") == 0 ? ZMQ_ROUTER
                                               : -1;
    if (type < 0) {
        fprintf(stderr, "usage: cdesk feed|slow|mixed ENDPOINT [hardened]\n");
        return 2;
    }
    int hardened = argc > 3 && strcmp(argv[3], "hardened") == 0;
    int linger = 0, patience = 500, received = type == ZMQ_PULL && !hardened ? 0 : 64, sent = hardened ? 1000 : 0;
    long long largest = BODY;
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, type);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience, sizeof patience);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &received, sizeof received);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &sent, sizeof sent);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    if (zmq_bind(socket, argv[2]) != 0) {
        fprintf(stderr, "bind %s: %s\n", argv[2], zmq_strerror(errno));
        return 1;
    }
    if (type == ZMQ_PUB) feed(socket);
    if (type == ZMQ_PULL) slow(socket);
    if (type == ZMQ_ROUTER) mixed(socket, hardened);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}
