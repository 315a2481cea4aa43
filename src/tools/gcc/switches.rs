//! The `-f` switches that only decide the code, the macros or the messages.
//!
//! A `-f` switch that is not here is unknown: newer compilers have some that write files, so
//! there can be no rule for them all. Those with an effect of their own are rows in `table`.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Spelled without `-f` and `no-` (unless only the `no-` form is harmless). A name that ends
/// in `=` or `-` takes a glued value.
const NAMES: &str = "
    PIC PIE aapcs-bitfield-load aapcs-bitfield-width abi-compat-version= abi-version abi-version=
    access-control addrsig aggressive-loop-optimizations align-functions align-functions=
    align-jumps align-jumps= align-labels align-labels= align-loops align-loops=
    aligned-allocation aligned-new aligned-new= all-virtual allocation-dce
    allow-editor-placeholders allow-leading-underscore allow-parameterless-variadic-functions
    allow-store-data-races alt-external-templates altivec-src-compat= analyzer
    analyzer-call-summaries analyzer-checker= analyzer-feasibility analyzer-fine-grained
    analyzer-show-duplicate-count analyzer-state-merge analyzer-state-purge analyzer-transitivity
    analyzer-verbose-edges analyzer-verbose-state-changes analyzer-verbosity= ansi-escape-codes
    apple-kext apple-pragma-pack application-extension apply-global-visibility-externs approx-func
    argument-alias argument-noalias argument-noalias-anything argument-noalias-global
    asan-shadow-offset= asm associative-math assume-sane-operator-new
    assume-sane-operators-new-delete assumptions async-exceptions asynchronous-unwind-tables
    auto-inc-dec autolink avoid-store-forwarding basic-block-address-map
    bfloat16-excess-precision= binutils-version= bit-tests blocks borland-extensions
    bracket-depth= branch-count-reg branch-target-load-optimize branch-target-load-optimize2
    btr-bb-exclusive building-libgcc builtin builtin- c++-abi= c++-static-destructors
    c++-static-destructors= call-saved- call-used- caller-saves canon-prefix-map
    canonical-system-headers caret-diagnostics caret-diagnostics-max-lines= cf-protection
    cf-protection= cf-runchecks char8_t check-data-deps check-new check-pointer-bounds checking
    checking= chkp-check-incomplete-type chkp-check-read chkp-check-write
    chkp-first-field-has-own-bounds chkp-flexible-struct-trailing-arrays chkp-instrument-calls
    chkp-instrument-marked-only chkp-narrow-bounds chkp-narrow-to-innermost-array chkp-optimize
    chkp-store-bounds chkp-treat-zero-dynamic-size-as-infinite chkp-use-fast-string-functions
    chkp-use-nochk-string-functions chkp-use-static-bounds chkp-use-static-const-bounds
    chkp-use-wrappers chkp-zero-input-bounds-for-main cilkplus clang-abi-compat= code-hoisting
    combine-stack-adjustments comment-block-commands= common compare-elim complete-member-pointers
    complex-arithmetic= concepts concepts-diagnostics-depth= concepts-ts cond-mismatch
    condition-coverage conserve-space conserve-stack const-string-class= constant-cfstrings
    constexpr-backtrace-limit= constexpr-cache-depth= constexpr-depth= constexpr-fp-except
    constexpr-loop-limit= constexpr-ops-limit= constexpr-steps= contract-assumption-mode=
    contract-build-level= contract-continuation-mode= contract-mode= contract-role=
    contract-semantic= contract-strict-declarations= contracts convergent-functions
    coro-aligned-allocation coroutines coroutines-ts coverage-compilation-dir= coverage-mcdc
    coverage-prefix-map= cprop-registers crash-diagnostics-dir= crash-diagnostics= crossjumping
    cse-follow-jumps cse-skip-blocks cx-fortran-rules cx-limited-range cx-method= cxx-exceptions
    data-sections daz-ftz dce debug-compilation-dir= debug-default-version=
    debug-info-for-profiling debug-macro debug-prefix-map= debug-ranges-base-address
    debug-types-section declone-ctor-dtor declspec deduce-init-list default-inline defer-pop
    defer-ts define-target-os-macros delayed-branch delayed-template-parsing
    delete-dead-exceptions delete-null-pointer-checks devirtualize devirtualize-at-ltrans
    devirtualize-speculatively diagnostics-all-candidates diagnostics-column-origin=
    diagnostics-column-unit= diagnostics-escape-format= diagnostics-fixit-info
    diagnostics-generate-patch diagnostics-hotness-threshold= diagnostics-json-formatting
    diagnostics-minimum-margin-width= diagnostics-misexpect-tolerance=
    diagnostics-parseable-fixits diagnostics-path-format= diagnostics-plain-output
    diagnostics-print-source-range-info diagnostics-show-caret diagnostics-show-category=
    diagnostics-show-context diagnostics-show-context= diagnostics-show-cwe
    diagnostics-show-event-links diagnostics-show-highlight-colors diagnostics-show-hotness
    diagnostics-show-inlining-chain diagnostics-show-labels diagnostics-show-line-numbers
    diagnostics-show-location= diagnostics-show-nesting diagnostics-show-note-include-stack
    diagnostics-show-option diagnostics-show-path-depths diagnostics-show-template-tree
    diagnostics-text-art-charset= diagnostics-urls= digraphs direct-access-external-data
    directives-only discard-value-names dollars-in-identifiers double-square-bracket-attributes
    dse dwarf-directory-asm dwarf-exceptions dwarf2-cfi-asm early-inlining elide-constructors
    elide-type eliminate-dwarf2-dups eliminate-unused-debug-symbols eliminate-unused-debug-types
    emit-all-decls emit-class-debug-always emit-compact-unwind-non-canonical emit-dwarf-unwind=
    emit-struct-debug-baseonly emit-struct-debug-detailed= emit-struct-debug-reduced emulated-tls
    enable-matrix enforce-eh-specs enum-int-equiv error-limit= exceptions excess-precision=
    exec-charset= expensive-optimizations experimental-late-parse-attributes experimental-library
    experimental-loop-fusion experimental-max-bitint-width= experimental-new-constant-interpreter
    experimental-relative-c++-abi-vtables experimental-sanitize-metadata=
    experimental-strict-floating-point ext-dce ext-numeric-literals extend-arguments=
    extended-identifiers extern-tls-init external-templates fast-math fat-lto-objects
    file-compilation-dir= file-prefix-map= file-reproducible fine-grained-bitfield-accesses
    finite-loops finite-math-only fixed- fixed-point float-store float16-excess-precision=
    fold-mem-offsets fold-simple-inlines for-scope force-addr force-dwarf-frame force-emit-vtables
    force-enable-int128 forward-propagate fp-contract= fp-eval-method= fp-exception-behavior=
    fp-int-builtin-inexact fp-model= freestanding friend-injection fuchsia-api-level= function-cse
    function-sections gcse gcse-after-reload gcse-las gcse-lm gcse-sm gimple global-isel
    gnat-encodings= gnu-inline-asm gnu-keywords gnu-runtime gnu-tm gnu-unique gnu89-inline
    gnuc-version= graphite graphite-identity guess-branch-probability guiding-decls
    handle-exceptions hardcfr-check-exceptions hardcfr-check-noreturn-calls=
    hardcfr-check-returning-calls hardcfr-skip-leaf harden-compares harden-conditional-branches
    harden-control-flow-redundancy hardened hoist-adjacent-loads honor-infinities
    honor-nan-compares honor-nans honor-std hosted huge-objects ident if-conversion if-conversion2
    ignore-exceptions implement-inlines implicit-constexpr implicit-inline-templates
    implicit-templates indirect-inlining inhibit-size-directive inline inline-atomics
    inline-functions inline-functions-called-once inline-hint-functions inline-limit-
    inline-limit= inline-max-stacksize= inline-small-functions inline-stringops inline-stringops=
    input-charset= instrument-function-entry-bare instrument-functions
    instrument-functions-after-inlining instrument-functions-exclude-file-list=
    instrument-functions-exclude-function-list= integrated-cc1 ipa-bit-cp ipa-cp ipa-cp-alignment
    ipa-cp-clone ipa-icf ipa-icf-functions ipa-icf-variables ipa-matrix-reorg ipa-modref
    ipa-profile ipa-pta ipa-pure-const ipa-ra ipa-reference ipa-reference-addressable
    ipa-reorder-for-locality ipa-sra ipa-stack-alignment ipa-strict-aliasing ipa-struct-reorg
    ipa-vrp ira-algorithm= ira-hoist-pressure ira-loop-pressure ira-region= ira-share-save-slots
    ira-share-spill-slots isolate-erroneous-paths-attribute isolate-erroneous-paths-dereference
    ivopts jmc jump-table-sections jump-tables keep-gc-roots-live keep-inline-functions
    keep-persistent-storage-variables keep-static-consts keep-static-functions
    keep-system-includes labels-ok large-source-files late-combine-instructions
    lax-vector-conversions lax-vector-conversions= leading-underscore leaf legacy-pass-manager
    lifetime-dse lifetime-dse= limit-debug-info limit-function-alignment live-patching
    live-patching= live-range-shrinkage local-ivars loop-block loop-flatten loop-interchange
    loop-nest-optimize loop-optimize loop-parallelize-all loop-strip-mine loop-unroll-and-jam
    lra-remat lto lto-compression-level= lto-jobs= lto-odr-type-merging lto-partition= lto=
    macro-backtrace-limit= macro-prefix-map= malloc-dce malloc-dce= math-errno max-errors=
    max-include-depth= max-tokens= max-type-align= memory-profile memory-profile=
    merge-all-constants merge-constants merge-debug-strings message-length=
    min-function-alignment= minimize-whitespace modulo-sched modulo-sched-allow-regmoves
    move-loop-invariants move-loop-stores ms-anonymous-structs ms-compatibility
    ms-compatibility-version= ms-define-stdc ms-extensions ms-hotpatch ms-runtime-lib=
    ms-tls-guards ms-volatile msc-version= mudflap mudflapir mudflapth multiflags musttail-opt
    name-mangling-version- new-abi new-alignment= new-infallible new-inheriting-ctors
    new-ttp-matching next-runtime nil-receivers no-auto-profile no-basic-block-sections
    no-branch-probabilities no-callgraph-info no-coverage-mapping no-crash-diagnostics
    no-cxx-modules no-diagnostics-absolute-paths no-embed-bitcode no-gpu-rdc
    no-implicit-module-maps no-implicit-modules no-integrated-cc1 no-lto-report no-mem-report
    no-memory-profile-use no-module-lazy no-module-maps no-modules no-modules-ts no-offload-lto
    no-profile-arcs no-profile-generate no-profile-instr-generate no-profile-instr-use
    no-profile-sample-use no-profile-use no-record-command-line no-record-gcc-switches
    no-report-bug no-sanitize-blacklist no-sanitize-ignorelist no-save-optimization-record
    no-stack-usage no-temp-file no-test-coverage no-time-report no-time-trace no-verbose-asm
    non-call-exceptions nonansi-builtins nonnull-objects nothrow-opt objc-abi-version= objc-arc
    objc-arc-exceptions objc-call-cxx-cdtors objc-direct-dispatch
    objc-disable-direct-methods-for-testing objc-encode-cxx-class-template-spec objc-exceptions
    objc-gc objc-infer-related-result-type objc-nilcheck objc-runtime= objc-sjlj-exceptions
    objc-std= objc-weak offload-abi= omit-frame-pointer omit-tls-dtors openacc openacc-dim= openmp
    openmp-allocators openmp-enable-irbuilder openmp-extensions openmp-implicit-rpath
    openmp-new-driver openmp-simd openmp-target-debug openmp-target-new-runtime
    openmp-target-simd-clone openmp-target-simd-clone= openmp-version= operator-arrow-depth=
    operator-names optimize-register-move optimize-sibling-calls optimize-strlen optional-diags
    order-file-instrumentation pack-struct pack-struct= partial-inlining pascal-strings
    patchable-function-entry= path-coverage pcc-struct-return pch-codegen pch-debuginfo pch-deps
    pch-instantiate-templates pch-preprocess pch-validate-input-files-content peel-loops peephole
    peephole2 permissive permitted-flt-eval-methods= pic pie plan9-extensions plt pointer-tbaa
    predictive-commoning prefetch-loop-arrays preprocessed preserve-as-comments pretty-templates
    printf-return-value profile-abs-path profile-continuous profile-correction
    profile-exclude-files= profile-filter-files= profile-function-groups= profile-info-section
    profile-info-section= profile-partial-training profile-prefix-map= profile-prefix-path=
    profile-reorder-functions profile-reproducible= profile-sample-accurate
    profile-selected-function-group= profile-update= profile-values protect-parens
    pseudo-probe-for-profiling ptrauth-auth-traps ptrauth-calls ptrauth-indirect-gotos
    ptrauth-init-fini ptrauth-intrinsics ptrauth-returns
    ptrauth-vtable-pointer-address-discrimination ptrauth-vtable-pointer-type-discrimination
    random-seed random-seed= randomize-layout-seed= range-for-ext-temps raw-string-literals
    reciprocal-math ree reg-struct-return register-global-dtors-with-atexit regmove
    relaxed-template-template-args rename-registers reorder-blocks reorder-blocks-algorithm=
    reorder-blocks-and-partition reorder-functions replace-objc-classes repo report-bug
    reroll-loops rerun-cse-after-loop rerun-loop-opt reschedule-modulo-scheduled-loops ropi
    rounding-math rtlib-add-rpath rtti rtti-data rwpi safe-buffer-usage-suggestions
    sanitize-address-destructor= sanitize-address-field-padding=
    sanitize-address-globals-dead-stripping sanitize-address-outline-instrumentation
    sanitize-address-poison-custom-array-cookie sanitize-address-use-after-return
    sanitize-address-use-after-return= sanitize-address-use-after-scope
    sanitize-address-use-odr-indicator sanitize-annotate-debug-info sanitize-annotate-debug-info=
    sanitize-cfi-canonical-jump-tables sanitize-cfi-cross-dso
    sanitize-cfi-icall-experimental-normalize-integers sanitize-cfi-icall-generalize-pointers
    sanitize-coverage-stack-depth-callback-min= sanitize-coverage= sanitize-hwaddress-abi=
    sanitize-hwaddress-experimental-aliasing sanitize-kcfi-arity sanitize-link-c++-runtime
    sanitize-link-runtime sanitize-memory-param-retval sanitize-memory-track-origins
    sanitize-memory-track-origins= sanitize-memory-use-after-dtor sanitize-merge sanitize-merge=
    sanitize-minimal-runtime sanitize-recover sanitize-recover= sanitize-sections=
    sanitize-skip-hot-cutoff= sanitize-stable-abi sanitize-stats sanitize-thread-atomics
    sanitize-thread-func-entry-exit sanitize-thread-memory-access sanitize-trap sanitize-trap=
    sanitize-type-outlined-instrumentation sanitize-undefined-ignore-overflow-pattern=
    sanitize-undefined-strip-path-components= sanitize-undefined-trap-on-error sanitize=
    sched-critical-path-heuristic sched-dep-count-heuristic sched-group-heuristic sched-interblock
    sched-last-insn-heuristic sched-pressure sched-rank-heuristic sched-spec
    sched-spec-insn-heuristic sched-spec-load sched-spec-load-dangerous sched-stalled-insns
    sched-stalled-insns-dep sched-stalled-insns-dep= sched-stalled-insns= sched2-use-superblocks
    sched2-use-traces schedule-fusion schedule-insns schedule-insns2 section-anchors see
    seh-exceptions sel-sched-pipelining sel-sched-pipelining-outer-loops
    sel-sched-reschedule-pipelined selective-scheduling selective-scheduling2
    semantic-interposition separate-named-sections short-enums short-wchar show-column
    show-overloads= show-skipped-includes show-source-location shrink-wrap shrink-wrap-separate
    signaling-nans signed-bitfields signed-char signed-zeros simd-cost-model=
    single-precision-constant size-t-is-usual sized-deallocation sjlj-exceptions
    skip-odr-check-in-gmf slp-vectorize speculatively-call-stored-functions spell-checking
    spell-checking-limit= split-dwarf-inlining split-ivs-in-unroller split-loops split-lto-unit
    split-machine-functions split-paths split-stack split-wide-types split-wide-types-early
    squangle ssa-backprop ssa-phiopt sso-struct= stack-check stack-check= stack-clash-protection
    stack-limit stack-limit-register= stack-limit-symbol= stack-protector stack-protector-all
    stack-protector-explicit stack-protector-strong stack-reuse= stack-size-section
    standalone-debug stdarg-opt store-merging strength-reduce strict-aliasing strict-enums
    strict-flex-arrays strict-flex-arrays= strict-float-cast-overflow strict-overflow
    strict-prototype strict-return strict-volatile-bitfields strict-vtable-pointers
    strong-eval-order strong-eval-order= swift-async-fp= sync-libcalls tabstop= temp-file
    template-backtrace-limit= template-depth- template-depth= thread-jumps threadsafe-statics
    tls-model= toplevel-reorder tracer track-macro-expansion track-macro-expansion=
    trampoline-impl= trampolines trap-function= trapping-math trapv trapv-handler= tree-bit-ccp
    tree-builtin-call-dce tree-ccp tree-ch tree-coalesce-inlined-vars tree-coalesce-vars
    tree-copy-prop tree-copyrename tree-cselim tree-dce tree-dominator-opts tree-dse tree-forwprop
    tree-fre tree-loop-distribute-patterns tree-loop-distribution tree-loop-if-convert
    tree-loop-if-convert-stores tree-loop-im tree-loop-ivcanon tree-loop-linear tree-loop-optimize
    tree-loop-vectorize tree-lrs tree-parallelize-loops= tree-partial-pre tree-phiprop tree-pre
    tree-pta tree-reassoc tree-salias tree-scev-cprop tree-sink tree-slp-vectorize tree-slsr
    tree-sra tree-store-ccp tree-store-copy-prop tree-switch-conversion tree-tail-merge tree-ter
    tree-vect-loop-version tree-vectorize tree-vectorizer-verbose= tree-vrp trigraphs
    trivial-auto-var-init-max-size= trivial-auto-var-init-stop-after= trivial-auto-var-init=
    unconstrained-commons unified-lto unique-basic-block-section-names
    unique-internal-linkage-names unique-section-names unit-at-a-time unreachable-traps
    unroll-all-loops unroll-completely-grow-size unroll-loops unsafe-loop-optimizations
    unsafe-math-optimizations unsigned-bitfields unsigned-char unswitch-loops unwind-tables
    use-cxa-atexit use-cxa-get-exception-ptr use-init-array use-ld= use-line-directives
    use-linker-plugin var-tracking var-tracking-assignments var-tracking-assignments-toggle
    var-tracking-uninit variable-expansion-in-unroller veclib= vect-cost-model vect-cost-model=
    vectorize verify-intermediate-code version-loops-for-strides virtual-function-elimination
    visibility-dllexport= visibility-externs-dllimport= visibility-externs-nodllstorageclass=
    visibility-from-dllstorageclass visibility-global-new-delete-hidden
    visibility-global-new-delete= visibility-inlines-hidden
    visibility-inlines-hidden-static-local-var visibility-ms-compat visibility-nodllstorageclass=
    visibility= vpt vtable-gc vtable-thunks wasm-exceptions weak web whole-program
    whole-program-vtables wide-exec-charset= working-directory wrapv wrapv-pointer
    writable-strings xl-pragma-pack xor-operator xray-always-emit-customevents
    xray-always-emit-typedevents xray-function-groups= xray-function-index xray-ignore-loops
    xray-instruction-threshold= xray-instrument xray-instrumentation-bundle= xray-link-deps
    xray-modes= xray-selected-function-group= zee zero-call-used-regs= zero-init-padding-bits=
    zero-initialized-in-bss zero-link zvector
";

static SWITCHES: LazyLock<HashSet<&[u8]>> =
    LazyLock::new(|| NAMES.split_ascii_whitespace().map(str::as_bytes).collect());

/// Whether `name`, an argument without its `-f`, is such a switch.
pub fn is_known(name: &[u8]) -> bool {
    listed(name) || name.strip_prefix(b"no-").is_some_and(listed)
}

/// Whether some `-m` flags make sense only with this switch, as the kernel's code model without position
/// independence: gcc itself refuses such a flag alone.
pub fn decides_for_machine(name: &[u8]) -> bool {
    let plain = name.strip_prefix(b"no-").unwrap_or(name);
    matches!(plain, b"pic" | b"PIC" | b"pie" | b"PIE") || plain.starts_with(b"cf-protection")
}

fn listed(name: &[u8]) -> bool {
    if SWITCHES.contains(name) {
        // A name that ends so is not a switch but waits for its value.
        return name.last().is_some_and(|&last| last != b'=' && last != b'-');
    }
    if let Some(equals) = name.iter().position(|&byte| byte == b'=') {
        return SWITCHES.contains(&name[..=equals]);
    }
    // `-fno-builtin-printf`, `-ffixed-x18`, `-ftemplate-depth-128`: a value after some dash.
    name.iter().enumerate().any(|(i, &byte)| byte == b'-' && SWITCHES.contains(&name[..=i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_switches_and_their_values() {
        for name in
            ["PIC", "no-PIE", "lto=auto", "no-builtin-printf", "ffixed-never", "", "inline-limit-"]
        {
            let expected = !matches!(name, "ffixed-never" | "" | "inline-limit-");
            assert_eq!(is_known(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn does_not_know_those_that_touch_files() {
        for name in
            ["dump-tree-all", "plugin=x.so", "profile-use", "modules", "module-header", "save-x"]
        {
            assert!(!is_known(name.as_bytes()), "{name}");
        }
    }
}
