// The whole of it is in cuda_emulator_device.h, which is included ahead of every source.
#pragma once
#define CUDART_INF_F INFINITY
#define CUDART_NAN_F NAN
#define CUDART_PI_F 3.141592654f
#define CUDART_INF static_cast<double>(INFINITY)
#define CUDART_NAN static_cast<double>(NAN)
#define CUDART_PI 3.1415926535897931e+0
