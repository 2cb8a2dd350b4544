// SPDX-License-Identifier: Apache-2.0
//
// Uses all of seep/seep.h in what C and C++ have in common, so that test_api.py can compile it as either, by each
// compiler, with every warning. Expected: the same words with seep and without, where the argument is not there; with
// one, whether seep is active.
#include <stdio.h>
#include <stdlib.h>

#include "seep/seep.h"

static void use_everything(void) {
  struct seep_leaks leaks;
  void* block = malloc(100);
  seep_disable();
  seep_enable();
  (void)seep_ignore(block);
  (void)seep_register_root_region(&block, sizeof block);
  (void)seep_scan();
  (void)seep_check_leaks(&leaks);
  (void)seep_snapshot();
  (void)seep_unregister_root_region(&block, sizeof block);
  free(block);
#ifdef __cplusplus
  const seep::ScopedDisabler disabler;
#endif
}

int main(int count, char** arguments) {
  (void)arguments;
  use_everything();
  if (count > 1) printf("active %d\n", seep_is_active());
  return puts("done") < 0;
}
