// What figures amount to, in a word.
#include "sink/sink.h"

#define IDLE_VALUE 0.2
#define BROADCAST_VALUE 0.8
#define FEW_HEADS 0.01
#define OFTEN 0.5

tb_sink_role tb_sink_role_of(const tb_sink_head *head, const tb_sink_value *value, double epsilon)
{
    if (head->first <= epsilon)
        return TB_SINK_ROLE_READS;
    if (value->value_ratio < IDLE_VALUE)
        return TB_SINK_ROLE_IDLE;
    return value->value_ratio > BROADCAST_VALUE ? TB_SINK_ROLE_BROADCAST : TB_SINK_ROLE_MIXED;
}

const char *tb_sink_role_name(tb_sink_role role)
{
    static const char *const names[TB_SINK_ROLES] = {
        [TB_SINK_ROLE_READS] = "reads",
        [TB_SINK_ROLE_IDLE] = "no-op",
        [TB_SINK_ROLE_MIXED] = "mixed",
        [TB_SINK_ROLE_BROADCAST] = "broadcast",
    };
    return names[role];
}

tb_sink_class tb_sink_class_of(const tb_sink_result *r)
{
    if (r->map.anywhere < FEW_HEADS)
        return TB_SINK_CLASS_NONE;
    return (double)r->positions.others < OFTEN * (double)r->sequences ? TB_SINK_CLASS_FIRST : TB_SINK_CLASS_OTHERS;
}

const char *tb_sink_class_name(tb_sink_class which)
{
    static const char *const names[] = {
        [TB_SINK_CLASS_NONE] = "no sinks",
        [TB_SINK_CLASS_FIRST] = "first token only",
        [TB_SINK_CLASS_OTHERS] = "first token and others",
    };
    return names[which];
}
