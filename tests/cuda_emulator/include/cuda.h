// The whole of it is in cuda_emulator_device.h, which is included ahead of every source.
#pragma once
