// The `docker` that verifiers call where applications run without containers: this program, by that name.
#ifndef TB_AGENT_DOCKER_H
#define TB_AGENT_DOCKER_H

#include "base/base.h"

// Whether the program was called by this name.
bool tb_docker_is_name(const char *program);

// Answers a call as the client of Docker would whose daemon runs no container: what it prints on standard output and on
// standard error. Returns its exit status.
int tb_docker_answer(tb_str *output, tb_str *errors, int argc, const char *const *argv);

#endif
