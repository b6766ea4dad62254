// Boost.Lockfree and Boost.Interprocess behind C functions: one call an operation, nothing in between.
//
// spsc_queue and queue have their capacity in their type, so they hold no pointers and may lie in shared memory; the
// caller gives that memory. message_queue makes its own segment by name.
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <boost/version.hpp>
#include <cstddef>
#include <cstdint>
#include <new>

namespace lf = boost::lockfree;
namespace ip = boost::interprocess;

namespace {
template <std::size_t W> struct Message {
    std::uint64_t words[W];
};

struct Spsc {
    std::size_t words, slots, size;
    void (*init)(void *);
    bool (*push)(void *, const void *);
    bool (*pop)(void *, void *);
    std::size_t (*push_many)(void *, const void *, std::size_t);
    std::size_t (*pop_many)(void *, void *, std::size_t);
};

template <std::size_t W, std::size_t N> struct Table {
    using Msg = Message<W>;
    using Queue = lf::spsc_queue<Msg, lf::capacity<N>>;
    static constexpr Spsc spsc = {
        W,
        N,
        sizeof(Queue),
        [](void *at) { new (at) Queue; },
        [](void *q, const void *m) { return static_cast<Queue *>(q)->push(*static_cast<const Msg *>(m)); },
        [](void *q, void *m) { return static_cast<Queue *>(q)->pop(*static_cast<Msg *>(m)); },
        [](void *q, const void *m, std::size_t n) { return static_cast<Queue *>(q)->push(static_cast<const Msg *>(m), n); },
        [](void *q, void *m, std::size_t n) { return static_cast<Queue *>(q)->pop(static_cast<Msg *>(m), n); },
    };
};

// Messages of 1, 8 and 32 words in rings of 8 KiB and of 256 KiB.
constexpr const Spsc *tables[] = {
    &Table<1, 1024>::spsc, &Table<8, 128>::spsc,  &Table<32, 32>::spsc,
    &Table<1, 32768>::spsc, &Table<8, 4096>::spsc, &Table<32, 1024>::spsc,
};

using Mpmc = lf::queue<std::uint64_t, lf::fixed_sized<true>, lf::capacity<1024>>;
} // namespace

extern "C" {
// The Boost that these were compiled with, as BOOST_VERSION encodes it.
std::uint32_t peers_boost_version() { return BOOST_VERSION; }

// The functions for messages of `words` words in `slots` slots; null where there are none.
const Spsc *peers_boost_spsc(std::size_t words, std::size_t slots) {
    for (auto *table : tables)
        if (table->words == words && table->slots == slots) return table;
    return nullptr;
}

std::size_t peers_boost_mpmc_size() { return sizeof(Mpmc); }
void peers_boost_mpmc_init(void *at) { new (at) Mpmc; }
bool peers_boost_mpmc_push(void *q, std::uint64_t word) { return static_cast<Mpmc *>(q)->bounded_push(word); }
bool peers_boost_mpmc_pop(void *q, std::uint64_t *word) { return static_cast<Mpmc *>(q)->pop(*word); }

// A queue of `slots` messages of `size` bytes whose name is already gone again; null when it cannot be made.
void *peers_boost_mq_new(const char *name, std::size_t slots, std::size_t size) {
    try {
        ip::message_queue::remove(name);
        auto *queue = new ip::message_queue(ip::create_only, name, slots, size, ip::permissions(0600));
        ip::message_queue::remove(name);
        return queue;
    } catch (...) {
        return nullptr;
    }
}

bool peers_boost_mq_send(void *q, const void *message, std::size_t size) {
    try {
        return static_cast<ip::message_queue *>(q)->try_send(message, size, 0);
    } catch (...) {
        return false;
    }
}

// How many bytes came; 0 when there was nothing.
std::size_t peers_boost_mq_recv(void *q, void *message, std::size_t size) {
    try {
        ip::message_queue::size_type got = 0;
        unsigned priority = 0;
        return static_cast<ip::message_queue *>(q)->try_receive(message, size, got, priority) ? got : 0;
    } catch (...) {
        return 0;
    }
}
}
