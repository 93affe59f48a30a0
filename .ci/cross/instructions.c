/* A QEMU TCG plugin that counts executed instructions between two functions.
 *
 *   cc -O2 -shared -fPIC -o libinstructions.so instructions.c
 *   qemu-system-arm ... -plugin ./libinstructions.so,begin=0x4d0,end=0x4d4
 *
 * begin and end are the addresses of two marker functions of the firmware
 * (`nm`, Thumb bit off). Each time end is reached, one line goes to stderr:
 * "span K: N instructions", N counted from the first instruction at begin, it
 * included, to the one at end, it excluded. At exit: the total.
 * Options stbase= and stsize= also count the stores that hit that range.
 *
 * The declarations below are the part of version 1 of QEMU's plugin interface
 * that is used here, so that no QEMU header is needed to build it.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
    const char *target_name;
    struct { int min, cur; } version;
    uint8_t system_emulation;
    struct { int smp_vcpus, max_vcpus; } system;
} qemu_info_t;
enum { CB_NO_REGS = 0 };
enum { MEM_W = 2 };
enum { INLINE_ADD_U64 = 0 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
    void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *,
    void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *,
    int, void *, uint64_t);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
    void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *), int, int, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t,
    void (*)(qemu_plugin_id_t, void *), void *);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t total, at_begin, begin_pc, end_pc, st_base, st_size, stores, st_begin;
static unsigned spans;
static int open_;

static void on_begin(unsigned cpu, void *u) { (void)cpu; (void)u; at_begin = total; st_begin = stores; open_ = 1; }
static void on_end(unsigned cpu, void *u)
{
    (void)cpu; (void)u;
    if (open_) {
        fprintf(stderr, "span %u: %" PRIu64 " instructions", spans++, total - at_begin);
        if (st_size) fprintf(stderr, ", %" PRIu64 " stores in range", stores - st_begin);
        fputc('\n', stderr);
    }
    open_ = 0;
}
static void on_store(unsigned cpu, qemu_plugin_meminfo_t i, uint64_t at, void *u)
{
    (void)cpu; (void)i; (void)u;
    stores += at - st_base < st_size;
}
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *in = qemu_plugin_tb_get_insn(tb, i);
        uint64_t pc = qemu_plugin_insn_vaddr(in);
        if (pc == begin_pc) qemu_plugin_register_vcpu_insn_exec_cb(in, on_begin, CB_NO_REGS, 0);
        if (pc == end_pc) qemu_plugin_register_vcpu_insn_exec_cb(in, on_end, CB_NO_REGS, 0);
        qemu_plugin_register_vcpu_insn_exec_inline(in, INLINE_ADD_U64, &total, 1);
        if (st_size) qemu_plugin_register_vcpu_mem_cb(in, on_store, CB_NO_REGS, MEM_W, 0);
    }
}
static void done(qemu_plugin_id_t id, void *u)
{
    (void)id; (void)u;
    fprintf(stderr, "total: %" PRIu64 " instructions\n", total);
}

__attribute__((visibility("default")))
int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    begin_pc = end_pc = UINT64_MAX;
    for (int i = 0; i < argc; i++) {
        char *v = strchr(argv[i], '=');
        uint64_t n = v ? strtoull(v + 1, 0, 0) : 0;
        if (!strncmp(argv[i], "begin=", 6)) begin_pc = n;
        else if (!strncmp(argv[i], "end=", 4)) end_pc = n;
        else if (!strncmp(argv[i], "stbase=", 7)) st_base = n;
        else if (!strncmp(argv[i], "stsize=", 7)) st_size = n;
        else { fprintf(stderr, "unknown option %s\n", argv[i]); return -1; }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, done, 0);
    return 0;
}
