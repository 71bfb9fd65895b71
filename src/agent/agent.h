// agent: web agents at work in real applications, measured. Knows no tensor.
//
//   apps.h          the registry of applications, their ports and names
//   tasks.h         task folders as they are published
//   verdict.h       what a verifier says, read
//   verify.h        running one
//   facts.h         what verifiers say where nothing was done
//   lint.h          what is wrong with tasks
//   docker.h        the `docker` that they call
//   results.h       the results of a model, read
//   audit.h         whether they can be believed
//   metrics.h       what they amount to
//   saas_report.h   for programs and for people
//   saas_compare.h  beside those of another
//   json_exact.h    JSON as Python reads and writes it
//   browser/        a browser that is driven: what a page shows, and what can be done on it
#ifndef TB_AGENT_H
#define TB_AGENT_H

#include "agent/apps.h"
#include "agent/audit.h"
#include "agent/browser/browser.h"
#include "agent/docker.h"
#include "agent/facts.h"
#include "agent/json_exact.h"
#include "agent/lint.h"
#include "agent/metrics.h"
#include "agent/results.h"
#include "agent/saas_compare.h"
#include "agent/saas_report.h"
#include "agent/tasks.h"
#include "agent/verdict.h"
#include "agent/verify.h"

#endif
