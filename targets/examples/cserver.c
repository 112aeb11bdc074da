/* A service in C: cserver TYPE ENDPOINT [hardened], TYPE is pull, rep or router.

   Turns the last frame of each message to upper case and sends it back (pull: counts it).
   Weakness: the frame is copied into 256 octets on the stack, whatever its size: a longer one smashes the stack.
   Hardened: the size is looked at first; a body that is too long is answered with an error.
   Build: cc -O1 -g -fstack-protector-strong -o cserver cserver.c -lzmq */

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum { LINE = 256 };

static volatile sig_atomic_t stopped;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

/* Noinline: the damage shows when this function returns. */
static __attribute__((noinline)) int answer(void *socket, int reply, const void *data, size_t size, int hardened) {
    char line[LINE];
    if (hardened && size > sizeof line) {
        static const char error[] = "error: too long";
        return reply ? zmq_send(socket, error, sizeof error - 1, 0) : 0;
    }
    memcpy(line, data, size);
    for (size_t i = 0; i < size; i++) line[i] = (char)toupper((unsigned char)line[i]);
    return reply ? zmq_send(socket, line, size, 0) : 0;
}

static int serve(void *socket, int type, int hardened) {
    while (!stopped) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, socket, 0) < 0) {
            int again = errno == EAGAIN || errno == EINTR;
            zmq_msg_close(&part);
            if (again) continue;
            return 1;
        }
        if (!zmq_msg_more(&part)) {
            answer(socket, type != ZMQ_PULL, zmq_msg_data(&part), zmq_msg_size(&part), hardened);
        } else if (type == ZMQ_ROUTER) { /* the envelope goes back as it came */
            if (zmq_msg_send(&part, socket, ZMQ_SNDMORE) >= 0) continue;
        }
        zmq_msg_close(&part);
    }
    return 0;
}

int main(int argc, char **argv) {
    int type = argc < 3                        ? -1
               : strcmp(argv[1], "pull") == 0   ? ZMQ_PULL
               : strcmp(argv[1], "rep") == 0    ? ZMQ_REP
               : strcmp(argv[1], "router") == 0 ? ZMQ_ROUTER
                                                : -1;
    if (type < 0) {
        fprintf(stderr, "usage: %s pull|rep|router ENDPOINT [hardened]\n", argv[0]);
        return 2;
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);

    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, type);
    int linger = 0, timeout = 200; /* a signal between the check and the wait costs 200 ms, not for ever */
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
    int status = 1;
    char endpoint[256];
    size_t size = sizeof endpoint;
    if (zmq_bind(socket, argv[2]) == 0 && zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0) {
        fprintf(stderr, "listening on %s\n", endpoint);
        status = serve(socket, type, argc > 3 && strcmp(argv[3], "hardened") == 0);
    } else {
        fprintf(stderr, "%s: %s\n", argv[2], zmq_strerror(zmq_errno()));
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    return status;
}
